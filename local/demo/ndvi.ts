/** The work of a demo job: the vegetation index of a small synthetic scene, (NIR − red) / (NIR + red) per pixel, averaged. */
import { randomFrom } from './load.ts'

const pixels = 32 * 32

/** Between −1 (water) and 1 (dense vegetation); the same for the same farm. */
export function meanNdvi(farm: number): number {
  const random = randomFrom(farm)
  let sum = 0
  for (let i = 0; i < pixels; i++) {
    const red = 0.02 + 0.2 * random()
    const nearInfrared = 0.2 + 0.5 * random()
    sum += (nearInfrared - red) / (nearInfrared + red)
  }
  return sum / pixels
}
