/** The batches in flight: at most `limit` at once; whoever wants one more waits in line. */
export interface Slots {
  readonly used: number
  /** Waits for a free slot; undefined when `signal` aborts first. The function returned frees the slot, once. */
  take(signal: AbortSignal): Promise<(() => void) | undefined>
  /** Resolves when every slot is free. */
  idle(): Promise<void>
}

export function createSlots(limit: number): Slots {
  let used = 0
  const waiting: (() => void)[] = []
  const idlers: (() => void)[] = []

  const release = () => {
    used -= 1
    waiting.shift()?.()
    if (used === 0) for (const resolve of idlers.splice(0)) resolve()
  }

  return {
    get used() {
      return used
    },
    async take(signal) {
      while (used >= limit && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const wake = () => {
            signal.removeEventListener('abort', wake)
            const index = waiting.indexOf(wake)
            if (index !== -1) waiting.splice(index, 1)
            resolve()
          }
          waiting.push(wake)
          signal.addEventListener('abort', wake)
        })
      }
      if (signal.aborted) return undefined
      used += 1
      let freed = false
      return () => {
        if (freed) return
        freed = true
        release()
      }
    },
    async idle() {
      if (used > 0) await new Promise<void>((resolve) => idlers.push(resolve))
    },
  }
}
