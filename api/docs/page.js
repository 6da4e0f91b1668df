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

// The page may ask the server that it comes from, which is the first, and no other.
function forThisPage(spec) {
  const parameters = Object.entries(spec.components.parameters);
  return {
    ...spec,
    servers: spec.servers.slice(0, 1),
    components: {
      ...spec.components,
      parameters: Object.fromEntries(parameters.map(([name, parameter]) => [name, tellExample(parameter)])),
    },
  };
}

SwaggerUIBundle({
  url: new URL('openapi.yaml', document.baseURI).href,
  dom_id: '#docs',
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  plugins: [{
    statePlugins: {
      spec: { wrapActions: { updateJsonSpec: (update) => (spec) => update(forThisPage(spec)) } },
    },
  }],
});
