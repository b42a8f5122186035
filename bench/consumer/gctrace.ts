/** Collections of V8 within a span of a process' life, from its `--trace-gc-nvp`. */

/** Flags that make V8 write a line for each collection. */
export const gcTraceFlags = ['--trace-gc-nvp'] as const

interface Collections {
  readonly scavenges: number
  readonly markCompacts: number
  /** Bytes that moved to the old space. */
  readonly promotedBytes: number
  /** Length of each pause. */
  readonly pausesMs: { readonly scavenges: readonly number[]; readonly markCompacts: readonly number[] }
}

/** Milliseconds since the isolate's start, length of the pause, kind, and bytes promoted; as Node 26 writes them. */
const line = /^\[\d+:[^\]]+\] +(\d+) ms: GC: \{"pause":([\d.]+),.*?"gc":"(\w+)",.*?"promoted":(\d+),/gm

/**
 * @param output the whole output of the process
 * @param span milliseconds since its start. V8 begins to count some ten milliseconds later
 */
export function collections(output: string, span: { readonly fromMs: number; readonly toMs: number }): Collections {
  const all = [...output.matchAll(line)]
  if (all.length === 0) throw new Error(`this V8 traces collections in another form:\n${output.slice(0, 2_000)}`)
  const within = all
    .map(([, at, pause, kind, promoted]) => ({
      atMs: Number(at),
      pauseMs: Number(pause),
      young: kind === 's',
      promoted: Number(promoted),
    }))
    .filter(({ atMs }) => atMs >= span.fromMs && atMs <= span.toMs)
  const pauses = (young: boolean) => within.filter((one) => one.young === young).map(({ pauseMs }) => pauseMs)
  const pausesMs = { scavenges: pauses(true), markCompacts: pauses(false) }
  return {
    scavenges: pausesMs.scavenges.length,
    markCompacts: pausesMs.markCompacts.length,
    promotedBytes: within.reduce((sum, { promoted }) => sum + promoted, 0),
    pausesMs,
  }
}
