/** What the ConfigMap `<name>-dispatch` says now. Its content is `dispatchConfigOf`'s; nothing secret is in it. */
import { dispatchVariable } from '../../redis/dispatchconfig.ts'

/** The mode a published ConfigMap carries; undefined where it carries none that can be read. */
export function publishedMode(data: Readonly<Record<string, string>> | undefined): 'Stream' | 'Direct' | undefined {
  try {
    const { mode } = JSON.parse(data?.[dispatchVariable] ?? '{}') as { mode?: unknown }
    return mode === 'Stream' || mode === 'Direct' ? mode : undefined
  } catch {
    // Somebody edited it: what is applied next puts it right.
    return undefined
  }
}
