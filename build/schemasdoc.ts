/** The reference page's section on payload schemas: what is accepted, what judges, what is checked and what it may cost. */
import { knownFormats } from '../api/jsonschema/formats.ts'
import { limits } from '../api/jsonschema/limits.ts'
import { dialect } from '../api/jsonschema/standard.ts'

const code = (text: string) => `\`${text}\``
const count = (number: number) => number.toLocaleString('en')

export function schemasSection(): string[] {
  return [
    '## Payload schemas',
    '',
    '`payload.schema` is JSON Schema 2020-12, all of it. Its references stay within it: `#/$defs/name`, an `$anchor`, the `$id` of a schema in',
    `it, or the standard's own schema (${code(dialect)}). Nothing is fetched. \`validate\` names the line and the path of what it refuses.`,
    '',
    '| In the schema | What follows |',
    '|---|---|',
    '| a reference that leads out of the schema | refused: copy that schema into `$defs`, with its `$id` |',
    '| `$schema` of another draft, a required vocabulary that is not of 2020-12 | refused: write the keywords of 2020-12 |',
    '| a name that is probably a misspelt keyword (`minlength`, `propertys`, `ref`) | refused, with the keyword that was probably meant |',
    '| any other name that is no keyword | no effect, and a warning; none for `x-…` and the annotations of generators, editors and OpenAPI |',
    '| `definitions`, `dependencies` | as in draft 7 |',
    '| a list under `items`, a boolean under `exclusiveMinimum`, `exclusiveMaximum` or `required` | refused: of older drafts |',
    '| `additionalItems`, `id`, `discriminator`, `$recursiveAnchor`, `formatMinimum` and the like | no effect, and a warning |',
    '| `nullable: true` beside a type without null | refused: write `type: [string, "null"]`. Where it runs already, null goes on to pass |',
    '| `$recursiveRef` | refused: write `$dynamicRef`. Where it runs already, it goes on to be followed |',
    '| `$async` | refused at every depth. Where it runs already, it is ignored |',
    '| a pattern with lookaround or back-references | refused: patterns run in linear time |',
    '| schemas that lead back to themselves for one and the same value | refused: no verdict would ever come |',
    '',
    'What releases before did not refuse stops nobody: a resource that runs goes on, and its consumer logs a warning at start. That holds for',
    '`nullable`, `$recursiveRef`, `$async`, circles, the bounds below, vocabularies, `$schema` below the root, and any fault in `$defs` that',
    'nothing refers to.',
    '',
    '**Validators.** ajv judges, unless the schema has something that ajv judges wrongly: `unevaluatedProperties`, `unevaluatedItems`, a',
    '`$dynamicRef` to a name that several schemas declare, objects or lists in `const` or `enum`, an empty `enum`, names such as `toString`',
    'that JavaScript gives to every object, or hundreds of members where ajv cannot be given them in pieces. Then @hyperjump/json-schema does,',
    'which takes some ten times as long (3 µs beside 0.3 for five properties). `validate` names the validator and the reason. Both pass the whole required suite of the standard.',
    '',
    `**Formats** are rules, not annotations: ${knownFormats.map(code).join(', ')}. Any other refuses nothing, with a warning.`,
    '',
    '**Numbers.** `multipleOf` is reckoned in decimals: 19.99 is a multiple of 0.01. A double counts as the shortest decimal that reads back as',
    'it.',
    '',
    `**Bounds.** A schema has at most ${count(limits.characters)} characters of JSON, ${limits.levels} levels of it, ${count(limits.schemas)} schemas and ${count(limits.references)} references. Judging a payload`,
    'ends, with a dead letter, after 100,000 references (500,000 schemas for the second validator), or when patterns have read some 8 million',
    'characters and four times the longest text.',
    '',
    'A verdict names the place in the payload and the rule, such as `items.3.price must be at least 0`; never the value.',
  ]
}
