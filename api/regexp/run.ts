/** Runs a program over a text in linear time, by its deterministic machine. */
import { createMachine } from './machine.ts'
import type { Program } from './program.ts'

export interface Text {
  /** Code points. */
  readonly characters: Int32Array
  /** Answers to the questions at a place, one bit each. */
  answers(place: number): number
}

export interface Runner {
  /** Whether the program ends anywhere in the text. */
  ends(text: Text): boolean
  /** For each place, whether the program ends there, read in the given direction. */
  endings(text: Text, backwards: boolean): Uint8Array
}

export function createRunner(program: Program, takes: (of: number, character: number) => boolean): Runner {
  const machine = createMachine(program, takes)
  return {
    ends({ characters, answers }) {
      let state = machine.begin()
      for (let place = 0; ; place++) {
        const here = machine.open(state, answers(place))
        if (here.ends) return true
        if (place >= characters.length) return false
        state = machine.move(here, characters[place] ?? 0)
      }
    },
    endings({ characters, answers }, backwards) {
      const { length } = characters
      const found = new Uint8Array(length + 1)
      let state = machine.begin()
      for (let done = 0; ; done++) {
        const place = backwards ? length - done : done
        const here = machine.open(state, answers(place))
        if (here.ends) found[place] = 1
        if (done >= length) return found
        state = machine.move(here, characters[backwards ? place - 1 : place] ?? 0)
      }
    },
  }
}
