// The load of a service in use, for k6: `make loadtest` starts the program and runs it.
//
// First 100 requests a second for SUSTAINED, then 1,000 a second for BURST; nine of ten post
// a batch, the others read a statistic. Each comes from one of 20,000 clients, whose
// addresses a proxy tells, so that all stay within their limits. Every answer must be right;
// how fast they come is printed, and not demanded.
import http from 'k6/http'
import exec from 'k6/execution'
import { check } from 'k6'
import { Counter } from 'k6/metrics'

const server = __ENV.SERVER
const { events: captured, ...batch } = JSON.parse(open('../fixtures/real-client-detailed.json'))
const hour = new Date(Math.floor(Date.now() / 3600e3) * 3600e3).toISOString()
const body = JSON.stringify({ ...batch, events: captured.map((event) => ({ ...event, timestamp_hour: hour })) })
const statistics = ['/v1/stats/all', '/v1/stats/overview?period=7d', '/v1/stats/tools?period=30d', '/v1/stats/errors']
const clients = 20000

// events counts those that were accepted.
const events = new Counter('events')

function arrivals(rate, duration, startTime) {
  return { executor: 'constant-arrival-rate', rate, timeUnit: '1s', duration, startTime, preAllocatedVUs: 100, maxVUs: 400, gracefulStop: '30s' }
}

export const options = {
  scenarios: {
    sustained: arrivals(100, __ENV.SUSTAINED, '0s'),
    burst: arrivals(1000, __ENV.BURST, __ENV.SUSTAINED),
  },
  thresholds: {
    checks: ['rate==1'],
    http_req_failed: ['rate==0'],
    'http_req_duration{scenario:sustained}': ['max>=0'],
    'http_req_duration{scenario:burst}': ['max>=0'],
    'http_reqs{scenario:sustained}': ['count>0'],
    'http_reqs{scenario:burst}': ['count>0'],
  },
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max'],
}

export default function () {
  const n = exec.scenario.iterationInTest
  const client = n % clients
  const headers = { 'X-Forwarded-For': `198.18.${client >> 8}.${client & 255}` }
  if (n % 10 === 9) {
    const answer = http.get(server + statistics[(n / 10 | 0) % statistics.length], { headers, tags: { name: 'statistics' } })
    check(answer, { 'statistics are answered': (r) => r.status === 200 && r.body.includes('"period"') })
    return
  }
  headers['Content-Type'] = 'application/json'
  const answer = http.post(server + '/v1/events', body, { headers, tags: { name: 'events' } })
  const accepted = check(answer, { 'all events are accepted': (r) => r.status === 200 && r.json('count') === captured.length })
  if (accepted) {
    events.add(captured.length)
  }
}

export function handleSummary(data) {
  return { [__ENV.SUMMARY]: JSON.stringify(data) }
}
