/** BullMQ's scripts that add a job, and the keys of a queue. */

/** Which of BullMQ's scripts adds with these options; as `addJobToTransaction` chooses. */
export type AddScript = 'addStandardJob' | 'addDelayedJob' | 'addPrioritizedJob'

export interface AddOptions {
  readonly delay?: number
  readonly priority?: number
}

export function addScriptFor(options: AddOptions): AddScript {
  if (options.delay !== undefined && options.delay > 0) return 'addDelayedJob'
  return options.priority ? 'addPrioritizedJob' : 'addStandardJob'
}

/** Keys of a queue that our scripts touch, by type: checked before the first write (scripts/lib/queueKeys.lua). */
export const queueKeyTypes = {
  wait: 'list',
  paused: 'list',
  active: 'list',
  meta: 'hash',
  id: 'string',
  pc: 'string',
  completed: 'zset',
  failed: 'zset',
  delayed: 'zset',
  prioritized: 'zset',
  'waiting-children': 'zset',
  marker: 'zset',
  repeat: 'zset',
  events: 'stream',
} as const
