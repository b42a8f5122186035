/** A drill: a fault of the real thing that must make an alert fire, and its cure, after which the alert must stop. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Scene } from './scene.ts'

export interface Drill {
  readonly alerts: readonly string[]
  /** What goes wrong. */
  readonly fault: string
  arise(scene: Scene): Promise<void>
  cease(scene: Scene): Promise<void>
}

/** Does `work` again and again until it is stopped. */
export function repeating(everyMs: number, work: () => Promise<unknown>): () => Promise<void> {
  let stopped = false
  const running = (async () => {
    while (!stopped) {
      await work()
      await sleep(everyMs)
    }
  })()
  running.catch(() => undefined)
  return async () => {
    stopped = true
    await running
  }
}

/** A drill whose fault is work that goes on until it ceases. */
export function lasting(
  alerts: readonly string[],
  fault: string,
  everyMs: number,
  work: (scene: Scene) => Promise<unknown>,
): Drill {
  let stop = async () => {}
  return {
    alerts,
    fault,
    async arise(scene) {
      stop = repeating(everyMs, async () => await work(scene))
    },
    cease: async () => await stop(),
  }
}
