/** The form of an entry, and its idempotency key. */
import { z } from 'zod'
import { fieldNamesPattern } from '../fieldnames.ts'
import { guarded, quoted } from './rules.ts'
import { count, size, text } from './scalars.ts'

/** Entry fields: whole names, or prefixes of names. */
const fieldNames = guarded(z.array(text(256)).min(1).max(32).meta({ 'x-kubernetes-list-type': 'atomic' }), {
  rule: `self.all(name, name.matches(${quoted(fieldNamesPattern)}))`,
  message: 'write the name of an entry field, such as source, or how names begin with an asterisk behind it, such as x-*',
  reason: 'FieldValueInvalid',
})

export const payloadSchema = guarded(
  z.strictObject({
    encoding: z
      .enum(['Fields', 'Json'])
      .default('Fields')
      .describe("Fields: the entry's fields are the object, coerced as the schema says. Json: one field holds a JSON document."),
    field: text(256).optional().describe('The field that holds the document. With `encoding: Json`, and only then.'),
    schema: z
      .record(z.string(), z.unknown())
      .meta({ 'x-kubernetes-preserve-unknown-fields': true, 'x-kubernetes-map-type': 'atomic' })
      .optional()
      .describe(
        'JSON Schema (2020-12) for payloads. An entry that violates it becomes a dead letter. References stay within the schema.',
      ),
    idempotencyKey: z
      .array(text(256))
      .min(1)
      .max(16)
      .meta({ 'x-kubernetes-list-type': 'atomic' })
      .optional()
      .describe('Payload fields, in order, whose values make the key. Omitted: a hash of the canonical payload.'),
    allowEmptyKey: z
      .boolean()
      .default(false)
      .describe('True: an empty text is a key. False: an entry with an empty key becomes a dead letter. Null is never a key.'),
    ignoreFields: fieldNames
      .optional()
      .describe('Entry fields outside the payload: names, or prefixes such as `x-*`. Job and key leave them out.'),
    metadataFields: fieldNames
      .optional()
      .describe(
        'Entry fields outside the payload that workers get in `context.metadata`, beside the job data. The key leaves them out.',
      ),
    nameFrom: text(256)
      .optional()
      .describe(
        'Payload field whose text names the job, within `sink.bullmq.allow.names`. Where it is absent or null: `jobName`.',
      ),
    delayFrom: text(256)
      .optional()
      .describe('Payload field with the milliseconds, counted from dispatch, that the job is delayed; within `allow.maxDelay`.'),
    priorityFrom: text(256).optional().describe("Payload field with the job's priority; within `allow.priority`."),
    maxBytes: size(512 * 2 ** 20)
      .default('256Ki')
      .describe('Largest payload; larger ones become dead letters.'),
    maxFields: count(1, 1000).default(64).describe('Most fields an entry may have.'),
  }),
  {
    rule: "self.encoding != 'Json' || has(self.field)",
    message: 'encoding: Json needs field, the name of the entry field that holds the document: write field: payload',
    fieldPath: '.field',
    reason: 'FieldValueRequired',
  },
  {
    rule: '!has(self.allowEmptyKey) || !self.allowEmptyKey || has(self.idempotencyKey)',
    message: 'allowEmptyKey has no meaning without idempotencyKey: drop it, or name the fields of the key',
    fieldPath: '.allowEmptyKey',
    reason: 'FieldValueInvalid',
  },
  {
    rule: "self.encoding == 'Json' || !has(self.field)",
    message: 'field has no meaning with encoding: Fields: drop it, or write encoding: Json',
    fieldPath: '.field',
    reason: 'FieldValueInvalid',
  },
)
