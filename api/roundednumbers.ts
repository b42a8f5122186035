/**
 * Numbers of a payload's schema that no double holds. A parser rounds them, so a document has them no more: they are found in the file's own
 * text. kubectl sends integers as they are written, and the API server keeps them, but each program that judges payloads reads the double.
 */
import { type Document, isAlias, isMap, isPair, isScalar, isSeq, type Node } from 'yaml'
import { isHeld, numberForm } from './heldnumbers.ts'
import { clip, type SchemaPath, spellPath } from './jsonschema/finding.ts'
import type { Problem } from './validation/problem.ts'

const root = ['spec', 'payload', 'schema']
const mostDigits = 100

/** @param resource the resource's node. An alias within the schema needs no look: its anchor is there too. */
export function roundedNumbers(resource: Node, document: Document): readonly Problem[] {
  const followed = (node: unknown) => (isAlias(node) ? node.resolve(document) : node)
  const schema = root.reduce<unknown>((node, name) => (isMap(node) ? followed(node.get(name, true)) : undefined), resource)
  const found: Problem[] = []
  collect(schema, [], found)
  return found
}

function collect(node: unknown, path: SchemaPath, found: Problem[]): void {
  if (isMap(node)) {
    for (const item of node.items)
      if (isPair(item) && isScalar(item.key)) collect(item.value, [...path, String(item.key.value)], found)
  } else if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) collect(item, [...path, index], found)
  } else if (isScalar(node) && typeof node.value === 'number' && node.source !== undefined) {
    const written = node.source.replace(/^\+/, '').replaceAll('_', '')
    if (!numberForm.test(written) || isHeld(written)) return
    const message = `no double holds ${clip(written, mostDigits)}: payloads are judged by ${node.value}; write that, or take the value as text`
    found.push({ field: spellPath(root.join('.'), path), message })
  }
}
