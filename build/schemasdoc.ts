/** The reference page's section on payload schemas: accepted keywords, validators, formats and bounds. */
import { knownFormats } from '../api/jsonschema/formats.ts'
import { limits } from '../api/jsonschema/limits.ts'
import { dialect } from '../api/jsonschema/standard.ts'

const code = (text: string) => `\`${text}\``
const count = (number: number) => number.toLocaleString('en')

export function schemasSection(): string[] {
  return [
    '## Payload schemas',
    '',
    '`payload.schema` is a JSON Schema 2020-12. All keywords of the standard have their effect. A reference must stay within the schema: `#/$defs/name`,',
    `an \`$anchor\`, or the \`$id\` of a schema inside. It may also name the standard's own schema (${code(dialect)}). No program fetches a schema.`,
    '`validate` reports line and path of each problem.',
    '',
    '| In the schema | Result |',
    '|---|---|',
    '| a reference that leads out of the schema | refused: copy that schema into `$defs`, with its `$id` |',
    '| `$schema` of another draft, a required vocabulary that is not of 2020-12 | refused: write the keywords of 2020-12 |',
    '| a name that is probably a misspelt keyword (`minlength`, `propertys`, `ref`) | refused, with a suggestion |',
    '| any other name that is no keyword | no effect, and a warning. Names `x-…` and annotations of generators, editors and OpenAPI give no warning |',
    '| `definitions`, `dependencies` | as in draft 7 |',
    '| a list under `items`, a boolean under `exclusiveMinimum`, `exclusiveMaximum` or `required` | refused: only older drafts have these |',
    '| `additionalItems`, `id`, `discriminator`, `$recursiveAnchor`, `formatMinimum` and the like | no effect, and a warning |',
    '| `nullable: true` beside a type without null | refused: write `type: [string, "null"]`. A pipeline that runs already still accepts null |',
    '| `$recursiveRef` | refused: write `$dynamicRef`. A pipeline that runs already still follows it |',
    '| `$async` | refused at every depth. A pipeline that runs already ignores it |',
    '| a pattern with back-references, or with repeats within repeats that make it too large | refused: patterns run in linear time |',
    '| a schema that refers to itself for the same value | refused: the check of a payload would not end |',
    '',
    'Earlier releases accepted some of these schemas. A pipeline that runs with one continues, and its consumer logs a warning at start. This',
    'applies to `nullable`, `$recursiveRef`, `$async`, schemas that refer to themselves, the bounds below, vocabularies, `$schema` below the root,',
    'and problems in `$defs` without a reference to them.',
    '',
    '**Validators.** The library ajv checks payloads. It handles some schemas wrongly, so @hyperjump/json-schema checks the payloads of these. That takes',
    'some ten times as long (3 µs in place of 0.3 µs for five properties). `validate` names the validator and the reason. Together the two validators pass the whole',
    'required suite of the standard, except for references out of the schema. ajv handles these wrongly:',
    '',
    '- `unevaluatedProperties`, `unevaluatedItems`, and a `$dynamicRef` to a name that several schemas declare;',
    '- objects or lists in `const` or `enum`, and an empty `enum`;',
    '- names such as `toString`, which every object of JavaScript has;',
    '- hundreds of members in one schema, if the program cannot split the schema for ajv.',
    '',
    `**Formats** are rules, not only annotations: ${knownFormats.map(code).join(', ')}. Any other format has no effect, and gives a warning.`,
    '',
    '**Numbers.** The check of `multipleOf` uses decimals: 19.99 is a multiple of 0.01. It takes the shortest decimal that stands for the same',
    'double.',
    '',
    `**Bounds.** A schema has at most ${count(limits.characters)} characters of JSON, ${limits.levels} levels, ${count(limits.schemas)} schemas and ${count(limits.references)} references.`,
    'The check of one payload has two bounds. A payload beyond them becomes a dead letter.',
    '',
    '- ajv follows at most 100,000 references. The second validator applies at most 500,000 schemas.',
    '- Patterns read at most some 8 million characters, plus four times the length of the longest text.',
    '',
    'A message about a payload names the place and the rule, such as `items.3.price must be at least 0`. It never shows the value.',
  ]
}
