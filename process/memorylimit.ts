/** The metric of this process' memory limit, as its cgroup has it. */
import { totalmem } from 'node:os'
import { constrainedMemory } from 'node:process'
import { Gauge, type Registry } from 'prom-client'

/** Without a limit there is no series. */
export function collectMemoryLimit(registry: Registry): void {
  new Gauge({
    name: 'streampipeline_memory_limit_bytes',
    help: 'Memory limit of the process. The kernel kills it beyond that. Absent without a limit.',
    registers: [registry],
    collect() {
      this.reset()
      const limit = constrainedMemory()
      // A cgroup without a limit has a number beyond all memory.
      if (limit > 0 && limit < totalmem()) this.set(limit)
      else this.remove()
    },
  })
}
