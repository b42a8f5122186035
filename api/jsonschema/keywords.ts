/**
 * The keywords of JSON Schema 2020-12 with the form of their values, and the names that other drafts and tools write beside them. The
 * check, walk and spelling of a keyword all derive from these tables.
 */

/** The form of a keyword's value. */
type ValueForm =
  | { readonly kind: 'Any' }
  | { readonly kind: 'Text' }
  | { readonly kind: 'Boolean' }
  | { readonly kind: 'Number' }
  /** Above 0. */
  | { readonly kind: 'Divisor' }
  /** A whole number, 0 or more. */
  | { readonly kind: 'Count' }
  | { readonly kind: 'Pattern' }
  | { readonly kind: 'Types' }
  | { readonly kind: 'List' }
  | { readonly kind: 'Names' }
  | { readonly kind: 'NamesByName' }
  | { readonly kind: 'Identifier' }
  | { readonly kind: 'Anchor' }
  | { readonly kind: 'Reference' }
  | { readonly kind: 'Dialect' }
  | { readonly kind: 'Vocabulary' }
  | { readonly kind: 'Schema' }
  | { readonly kind: 'Schemas' }
  | { readonly kind: 'SchemaByName' }
  | { readonly kind: 'SchemaByPattern' }
  /** `dependencies` of draft 7: names or a schema by name. */
  | { readonly kind: 'Dependencies' }

export type FormKind = ValueForm['kind']

const keywordsByForm: Readonly<Record<FormKind, readonly string[]>> = {
  Any: ['default', 'const'],
  Text: ['$comment', 'title', 'description', 'format', 'contentEncoding', 'contentMediaType'],
  Boolean: ['deprecated', 'readOnly', 'writeOnly', 'uniqueItems'],
  Number: ['maximum', 'minimum', 'exclusiveMaximum', 'exclusiveMinimum'],
  Divisor: ['multipleOf'],
  Count: [
    ...['maxLength', 'minLength', 'maxItems', 'minItems', 'maxContains', 'minContains'],
    ...['maxProperties', 'minProperties'],
  ],
  Pattern: ['pattern'],
  Types: ['type'],
  List: ['enum', 'examples'],
  Names: ['required'],
  NamesByName: ['dependentRequired'],
  Identifier: ['$id'],
  Anchor: ['$anchor', '$dynamicAnchor'],
  Reference: ['$ref', '$dynamicRef'],
  Dialect: ['$schema'],
  Vocabulary: ['$vocabulary'],
  Schema: [
    ...['items', 'contains', 'additionalProperties', 'propertyNames', 'if', 'then', 'else', 'not'],
    ...['unevaluatedItems', 'unevaluatedProperties', 'contentSchema'],
  ],
  Schemas: ['allOf', 'anyOf', 'oneOf', 'prefixItems'],
  SchemaByName: ['properties', 'dependentSchemas', '$defs', 'definitions'],
  SchemaByPattern: ['patternProperties'],
  Dependencies: ['dependencies'],
}

const forms: ReadonlyMap<string, FormKind> = new Map(
  Object.entries(keywordsByForm).flatMap(([form, names]) => names.map((name): [string, FormKind] => [name, form as FormKind])),
)

/** The form of a keyword's value. Undefined: 2020-12 has no such keyword. */
export function formOf(keyword: string): FormKind | undefined {
  return forms.get(keyword)
}

export const keywordNames: readonly string[] = [...forms.keys()]

/** Their schemas judge nothing in place: only a reference leads to them. */
export const shelves: ReadonlySet<string> = new Set(['$defs', 'definitions', 'contentSchema'])

/** Their schemas judge the same value as the schema around them, rather than a part of it. */
export const inPlace: ReadonlySet<string> = new Set([
  ...['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else', 'dependentSchemas', 'dependencies'],
])

/** Keywords that 2020-12 ignores though an author meant something by them, with their replacements. */
export const foreignKeywords: ReadonlyMap<string, string> = new Map([
  ['additionalItems', 'write items, beside prefixItems'],
  ['$recursiveAnchor', 'write $dynamicAnchor'],
  ['id', 'write $id'],
  ['divisibleBy', 'write multipleOf'],
  ['disallow', 'write not'],
  ['extends', 'write allOf'],
  ['discriminator', 'oneOf or anyOf beside it decides alone'],
  ['formatMinimum', 'write pattern, or drop it'],
  ['formatMaximum', 'write pattern, or drop it'],
  ['formatExclusiveMinimum', 'write pattern, or drop it'],
  ['formatExclusiveMaximum', 'write pattern, or drop it'],
])

/** Annotations of generators, editors and OpenAPI. They have no effect, and no author expects one. */
const annotations: ReadonlySet<string> = new Set([
  ...[
    'example',
    'comment',
    'comments',
    'xml',
    'externalDocs',
    'nullable',
    'collectionFormat',
    'summary',
    'name',
    'label',
    'note',
  ],
  ...['unit', 'units', 'version', 'order', 'tags', 'kind', 'markdownDescription', 'enumDescriptions', 'markdownEnumDescriptions'],
  ...['enumNames', 'enumTitles', 'enumVarNames', 'deprecationMessage', 'defaultSnippets', 'doNotSuggest', 'suggestSortText'],
  ...['allowComments', 'allowTrailingCommas', 'errorMessage', 'errorMessages', 'propertyOrder', 'propertyOrdering', 'options'],
  ...[
    'tsType',
    'tsEnumNames',
    'tsImport',
    'javaType',
    'javaName',
    'javaInterfaces',
    'existingJavaType',
    'goJSONSchema',
    'goType',
  ],
  ...['instanceof', 'typeof', 'faker', 'chance', 'fileMatch', 'sensitive', 'translate', 'hidden', 'widget', 'placeholder'],
  ...[
    '$generated',
    '$source',
    '$version',
    '$description',
    '$title',
    '$static',
    'transform',
    'customType',
    'links',
    'media',
    'base',
  ],
])

/** `x-…`, and the prefixes of tools' own keywords: `ui:widget`, `meta:enum`, `qt-uri-protocols`. */
const annotationForm = /^(?:x-|_|\$?[a-z]+:|qt-|~)/i

export function isAnnotation(keyword: string): boolean {
  return annotations.has(keyword) || annotationForm.test(keyword)
}
