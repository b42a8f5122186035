/** Where entries come from. */
import { z } from 'zod'
import { guarded } from './rules.ts'
import { count, duration, immutable, keyName, size, text } from './scalars.ts'

const retention = z.strictObject({
  maxEntries: count(1, Number.MAX_SAFE_INTEGER)
    .optional()
    .describe(
      'Most entries in the stream. Beyond it the oldest are trimmed, read or not. Unread ones count as lost, and raise an alert. Omitted: no bound.',
    ),
  settledFor: duration('0s', '2160h').default('1h').describe('Age at which an entry is trimmed, if every group has settled it.'),
  ignoredGroups: z
    .array(text(256))
    .max(64)
    .meta({ 'x-kubernetes-list-type': 'atomic' })
    .default([])
    .describe('Groups that retention need not wait for.'),
})

export const sourceSchema = guarded(
  z.strictObject({
    stream: guarded(keyName(512, '{ndvi}:jobs'), immutable('stream')).describe('Redis key of the stream. Immutable.'),
    group: guarded(text(256), immutable('group')).describe('Consumer group. Immutable.'),
    startFrom: z
      .enum(['Beginning', 'End'])
      .default('Beginning')
      .describe(
        'Where a group starts to read if it has never existed. Beginning: at the first entry in the stream. End: at the first entry that is added after the group is made.',
      ),
    batchSize: count(1, 1000).default(100).describe('Most entries of one read.'),
    batchBytes: size(64 * 2 ** 20)
      .default('4Mi')
      .describe('Payload bytes that one read aims at.'),
    block: duration('100ms', '60s').default('5s').describe('How long one read waits for entries.'),
    inFlightBatches: count(1, 16).default(3).describe('Batches one consumer works on at once.'),
    retention: retention.prefault({}).describe('Which entries stay in the stream.'),
  }),
  {
    rule: '!has(self.retention.ignoredGroups) || !(self.group in self.retention.ignoredGroups)',
    message: "ignoredGroups holds this pipeline's own group, so retention would trim what it has not read: take it out",
    fieldPath: '.retention.ignoredGroups',
    reason: 'FieldValueInvalid',
  },
)
