/**
 * `nullable: true` of OpenAPI 3.0. JSON Schema has no such keyword, so `validate` refuses it. Earlier releases accepted null there, and a
 * running resource still does.
 */
export function nullableType(schema: Readonly<Record<string, unknown>>): unknown {
  const { type, nullable } = schema
  const types = [type].flat()
  return nullable === true && !types.includes('null') ? [...types, 'null'] : type
}
