/** The form of an entry, and its idempotency key. */
import { z } from 'zod'
import { fieldNamesPattern } from '../fieldnames.ts'
import { guarded, quoted } from './rules.ts'
import { count, size, text } from './scalars.ts'

/** Entry fields: whole names, or prefixes of names. */
const fieldNames = guarded(z.array(text(256)).min(1).max(32).meta({ 'x-kubernetes-list-type': 'atomic' }), {
  rule: `self.all(name, name.matches(${quoted(fieldNamesPattern)}))`,
  message: 'write the name of an entry field, such as source, or a prefix with an asterisk at its end, such as x-*',
  reason: 'FieldValueInvalid',
})

export const payloadSchema = guarded(
  z.strictObject({
    encoding: z
      .enum(['Fields', 'Json'])
      .default('Fields')
      .describe(
        "Fields: the entry's fields are the payload, and the schema gives their types. Json: one field holds the payload as a JSON document.",
      ),
    field: text(256)
      .optional()
      .describe('Entry field that holds the JSON document. Required with `encoding: Json`, refused without it.'),
    schema: z
      .record(z.string(), z.unknown())
      .meta({ 'x-kubernetes-preserve-unknown-fields': true, 'x-kubernetes-map-type': 'atomic' })
      .optional()
      .describe(
        'JSON Schema (2020-12) of payloads. An entry that violates it becomes a dead letter. A `$ref` may not lead out of the schema.',
      ),
    idempotencyKey: z
      .array(text(256))
      .min(1)
      .max(16)
      .meta({ 'x-kubernetes-list-type': 'atomic' })
      .optional()
      .describe('Payload fields whose values, in this order, make the idempotency key. Omitted: the whole payload is the key.'),
    allowEmptyKey: z
      .boolean()
      .default(false)
      .describe(
        'True: an empty text is a valid key. False: an entry with an empty key becomes a dead letter. Null is never a key.',
      ),
    ignoreFields: fieldNames
      .optional()
      .describe('Entry fields outside the payload: names, or prefixes such as `x-*`. They are part of neither job nor key.'),
    metadataFields: fieldNames
      .optional()
      .describe(
        'Entry fields outside the payload that workers get in `context.metadata`, beside the job data. They are not part of the key.',
      ),
    nameFrom: text(256)
      .optional()
      .describe(
        'Payload field with the name of the job, within `sink.bullmq.allow.names`. If it is absent or null, the name is `jobName`.',
      ),
    delayFrom: text(256)
      .optional()
      .describe(
        "Payload field with the job's delay in milliseconds, counted from dispatch, within `sink.bullmq.allow.maxDelay`.",
      ),
    priorityFrom: text(256).optional().describe("Payload field with the job's priority, within `sink.bullmq.allow.priority`."),
    maxBytes: size(512 * 2 ** 20)
      .default('256Ki')
      .describe('Largest payload. An entry with a larger one becomes a dead letter.'),
    maxFields: count(1, 1000).default(64).describe('Most fields of an entry. An entry with more becomes a dead letter.'),
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
