/**
 * BullMQ's own Lua inside ours. A Redis script cannot call another one. So the text of BullMQ's add and removal goes where a script
 * of this folder has the line `-- @bullmq add` or `-- @bullmq remove`. It is read from the installed package (bullmq/queue.ts).
 */
export interface BullTexts {
  readonly add?: string
  /** Absent where BullMQ's scripts are not known: jobs then stay. */
  readonly remove?: string
}

export function withBullTexts(lua: string, texts: BullTexts): string {
  // A function as replacement: BullMQ's text may hold `$&`.
  return lua.replaceAll(/^\s*-- @bullmq (\w+)$/gm, (_, place: string) => (place === 'add' ? texts.add : texts.remove) ?? '')
}
