import { randomInt } from 'node:crypto'

/** The seed of this run's random choices: printed by the runner; STREAMPIPELINE_SEED repeats a run. */
export const seed: number = Number(process.env.STREAMPIPELINE_SEED ?? randomInt(2 ** 31))
