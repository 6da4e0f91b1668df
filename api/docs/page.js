'use strict';

const dark = matchMedia('(prefers-color-scheme: dark)');
const paint = () => document.documentElement.classList.toggle('dark-mode', dark.matches);
dark.addEventListener('change', paint);
paint();

// Swagger UI fills forms with the examples of parameters. All filters at once
// find nothing, so the examples of optional ones are told and not filled in.
function tellExample(parameter) {
  const { example, examples, ...rest } = parameter;
  if (parameter.required || (example === undefined && !examples)) return parameter;
  const values = examples ? Object.values(examples).map((e) => e.value) : [example];
  const told = values.map((value) => `\`${value}\``).join(', ');
  return { ...rest, description: `${rest.description ?? ''}\n\nExample: ${told}` };
}

// The operations come first: what the document says before them is folded away.
function foldProse(description) {
  const start = description.indexOf('\n## ');
  if (start < 0) return description;
  return `${description.slice(0, start)}\n\n<details><summary>Windows, numbers, privacy, caching, limits</summary>\n\n${description.slice(start)}\n\n</details>\n`;
}

// Examples are of some day. What is tried here is of this hour, or it is too old.
function ofThisHour(example) {
  if (!example.value?.events?.some((event) => event.timestamp_hour)) return example;
  const timestamp_hour = `${new Date().toISOString().slice(0, 13)}:00:00Z`;
  return { ...example, value: { ...example.value, events: example.value.events.map((event) => ({ ...event, timestamp_hour })) } };
}

function each(named, change) {
  return Object.fromEntries(Object.entries(named).map(([name, value]) => [name, change(value)]));
}

// The page may ask the server that it comes from, which is the first, and no other.
function forThisPage(spec) {
  return {
    ...spec,
    info: { ...spec.info, description: foldProse(spec.info.description) },
    servers: spec.servers.slice(0, 1),
    components: {
      ...spec.components,
      parameters: each(spec.components.parameters, tellExample),
      examples: each(spec.components.examples, ofThisHour),
    },
  };
}

// What is posted counts, so it is tried on one's own machine only.
const isOwn = ['localhost', '127.0.0.1', '[::1]'].includes(location.hostname);
const mayTry = (path, method) => isOwn || path !== '/v1/events' || method !== 'post';

SwaggerUIBundle({
  url: new URL('openapi.yaml', document.baseURI).href,
  dom_id: '#docs',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  plugins: [{
    statePlugins: {
      spec: {
        wrapActions: { updateJsonSpec: (update) => (spec) => update(forThisPage(spec)) },
        wrapSelectors: { allowTryItOutFor: (allow) => (state, path, method) => mayTry(path, method) && allow(state, path, method) },
      },
    },
  }],
});
