/** A fixed piece of work for a processor, timed by the clock and by the thread's own CPU time. Runs in a worker thread. */
import { createHash } from 'node:crypto'
import { parentPort, workerData } from 'node:worker_threads'
import type { LoopTime } from './calibration.ts'

const hashed = Buffer.alloc(16 * 1_024, 'streampipeline')

/** Hashing is native code, the sum is JavaScript: both kinds of work that the contenders do. */
function work(rounds: number): number {
  let sum = 0
  for (let round = 0; round < rounds; round++) {
    const digest = createHash('sha256').update(hashed).digest()
    for (let at = 0; at < 20_000; at++) sum = (sum + (digest[at % digest.length] ?? 0) * at) % 1_000_003
  }
  return sum
}

const microsecondsOf = ({ user, system }: NodeJS.CpuUsage) => user + system

// Before the clock starts, V8 compiles it.
let sum = work(60)
const cpuBegan = microsecondsOf(process.threadCpuUsage())
const began = performance.now()
sum += work(workerData as number)
const wallMs = performance.now() - began
const time: LoopTime = { wallMs, cpuMs: (microsecondsOf(process.threadCpuUsage()) - cpuBegan) / 1_000 }
// The sum is used, or a compiler might leave the work out.
if (Number.isNaN(sum)) throw new Error('no sum')
parentPort?.postMessage(time)
