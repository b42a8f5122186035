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
    '`payload.schema` is JSON Schema 2020-12, all of it. A reference stays within the schema: `#/$defs/name`, an `$anchor`, or the `$id` of a schema',
    `inside. It may also name the standard's own schema (${code(dialect)}). Nothing is fetched. \`validate\` reports line and path of each problem.`,
    '',
    '| In the schema | Result |',
    '|---|---|',
    '| a reference that leads out of the schema | refused: copy that schema into `$defs`, with its `$id` |',
    '| `$schema` of another draft, a required vocabulary that is not of 2020-12 | refused: write the keywords of 2020-12 |',
    '| a name that is probably a misspelt keyword (`minlength`, `propertys`, `ref`) | refused, with a suggestion |',
    '| any other name that is no keyword | no effect, and a warning. No warning for `x-…` and annotations of generators, editors and OpenAPI |',
    '| `definitions`, `dependencies` | as in draft 7 |',
    '| a list under `items`, a boolean under `exclusiveMinimum`, `exclusiveMaximum` or `required` | refused: of older drafts |',
    '| `additionalItems`, `id`, `discriminator`, `$recursiveAnchor`, `formatMinimum` and the like | no effect, and a warning |',
    '| `nullable: true` beside a type without null | refused: write `type: [string, "null"]`. A pipeline that runs already still accepts null |',
    '| `$recursiveRef` | refused: write `$dynamicRef`. A pipeline that runs already still follows it |',
    '| `$async` | refused at every depth. A pipeline that runs already ignores it |',
    '| a pattern with back-references, or with repeats within repeats that make it too large | refused: patterns run in linear time |',
    '| schemas that lead back to themselves for one and the same value | refused: no verdict would ever come |',
    '',
    'Earlier releases accepted some of these. A pipeline that runs with one goes on, and its consumer logs a warning at start. That holds for',
    '`nullable`, `$recursiveRef`, `$async`, schemas that lead back to themselves, the bounds below, vocabularies, `$schema` below the root, and faults in `$defs` that nothing',
    'refers to.',
    '',
    '**Validators.** ajv judges payloads, unless it judges the schema wrongly. @hyperjump/json-schema then judges them, which takes some ten',
    'times as long (3 µs beside 0.3 for five properties). `validate` names the validator and the reason. Both pass the whole required suite of',
    'the standard. ajv judges these wrongly:',
    '',
    '- `unevaluatedProperties`, `unevaluatedItems`, and a `$dynamicRef` to a name that several schemas declare;',
    '- objects or lists in `const` or `enum`, and an empty `enum`;',
    '- names such as `toString`, which every object of JavaScript has;',
    '- hundreds of members in a schema that cannot be split for it.',
    '',
    `**Formats** are rules, not annotations: ${knownFormats.map(code).join(', ')}. Any other format has no effect, and gives a warning.`,
    '',
    '**Numbers.** `multipleOf` is computed in decimals: 19.99 is a multiple of 0.01. A double counts as the shortest decimal that reads back as',
    'the same double.',
    '',
    `**Bounds.** A schema has at most ${count(limits.characters)} characters of JSON, ${limits.levels} levels of it, ${count(limits.schemas)} schemas and ${count(limits.references)} references. A payload`,
    'becomes a dead letter after 100,000 references (500,000 schemas for the second validator), or once patterns have read some 8 million',
    'characters and four times the longest text.',
    '',
    'A verdict names the place in the payload and the rule, such as `items.3.price must be at least 0`. It never shows the value.',
  ]
}
