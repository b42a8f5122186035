/** Reads the mode that the ConfigMap `<name>-dispatch` carries now. `dispatchConfigOf` writes it, without secrets. */
import { dispatchVariable } from '../../redis/dispatchconfig.ts'

/** The mode a published ConfigMap carries; undefined where it carries none that can be read. */
export function publishedMode(data: Readonly<Record<string, string>> | undefined): 'Stream' | 'Direct' | undefined {
  try {
    const { mode } = JSON.parse(data?.[dispatchVariable] ?? '{}') as { mode?: unknown }
    return mode === 'Stream' || mode === 'Direct' ? mode : undefined
  } catch {
    // A person edited it: the next apply puts it right.
    return undefined
  }
}
