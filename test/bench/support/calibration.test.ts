/** The bench's judgement of its machine: figures as a quiet and as a busy machine give them, and a real loop beside real load. */
import '../../support/leaks.ts'
import assert from 'node:assert/strict'
import { availableParallelism } from 'node:os'
import test from 'node:test'
import { type Calibration, calibrate, machineState } from '../../../bench/support/calibration.ts'

const quiet: Calibration = [
  { wallMs: 101, cpuMs: 100 },
  { wallMs: 102, cpuMs: 100 },
]
const contended: Calibration = [
  { wallMs: 101, cpuMs: 100 },
  { wallMs: 150, cpuMs: 100 },
]
const slow: Calibration = [
  { wallMs: 141, cpuMs: 140 },
  { wallMs: 140, cpuMs: 140 },
]

const times = (count: number, calibration: Calibration): Calibration[] => Array.from({ length: count }, () => calibration)

const cases: readonly (readonly [title: string, calibrations: readonly Calibration[], reason: RegExp | undefined])[] = [
  ['a quiet machine is judged', times(10, quiet), undefined],
  ['one disturbance among ten is left to the medians', [...times(9, quiet), contended], undefined],
  ['one slow moment among ten too', [...times(9, quiet), slow], undefined],
  ['a machine on which others compute is not judged', times(10, contended), /other programs used the processors: .* 1\.50 times/],
  ['nor is one on which others compute a third of the time', [...times(6, quiet), ...times(4, contended)], /other programs/],
  ['nor one whose speed changes', [...times(6, quiet), ...times(4, slow)], /changed their speed: .* 1\.40 times/],
  ['without a calibration nothing is judged', [], /other programs/],
]

for (const [title, calibrations, reason] of cases) {
  test(title, () => {
    const { judgement } = machineState(calibrations)
    assert.equal(judgement.judged, reason === undefined)
    if (reason !== undefined) assert.match(judgement.judged ? '' : judgement.reason, reason)
  })
}

test('the loop sees load: four on one processor take more than their CPU time', async () => {
  const { contention, drift, calibrations } = machineState([await calibrate(4 * availableParallelism(), 500)])
  assert.ok(contention > 1.5, `contention ${contention}`)
  assert.equal(drift, 1)
  assert.equal(calibrations, 1)
})
