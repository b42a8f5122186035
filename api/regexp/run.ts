/**
 * Runs a program over a text in linear time. The set of steps that the machine is in becomes one state, and a state remembers where each
 * character leads (a deterministic machine, made as it is needed). The machine's memory has a bound. Beyond it the machine is made anew.
 */
import type { Program } from './program.ts'

interface State {
  readonly steps: readonly number[]
  /** By the answers to the questions at its place. */
  readonly open: Map<number, Open>
}

/** A state at a place whose questions are answered. */
interface Open {
  readonly ends: boolean
  /** Class and next step, one pair for each step that takes a character. */
  readonly moves: readonly (readonly [of: number, next: number])[]
  readonly next: Map<number, State>
}

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

/** Remembered moves and steps: a few megabytes. */
const mostRemembered = 100_000
/** New states that one text may make. A text that leads to more is written against this, and remembering would only cost. */
const mostFresh = 1_000

export function createRunner({ steps, start }: Program, takes: (of: number, character: number) => boolean): Runner {
  let states = new Map<string, State>()
  let remembered = 0
  let fresh = 0
  const marks = new Int32Array(steps.length)
  let round = 0

  const stateOf = (places: number[]): State => {
    if (fresh > mostFresh) return { steps: places, open: new Map() }
    places.sort((a, b) => a - b)
    const key = places.join()
    const known = states.get(key)
    if (known !== undefined) return known
    remembered += places.length + 1
    fresh += 1
    const made: State = { steps: places, open: new Map() }
    states.set(key, made)
    return made
  }

  const forget = ({ next }: Open) => {
    states = new Map()
    next.clear()
    remembered = 0
  }

  const opened = (state: State, answers: number): Open => {
    let found = state.open.get(answers)
    if (found === undefined) {
      found = open(state, answers)
      remembered += found.moves.length + 1
      state.open.set(answers, found)
    }
    return found
  }

  const open = (state: State, answers: number): Open => {
    round += 1
    const moves: (readonly [number, number])[] = []
    let ends = false
    const left = [...state.steps]
    for (let at = left.pop(); at !== undefined; at = left.pop()) {
      if (marks[at] === round) continue
      marks[at] = round
      const step = steps[at]
      switch (step?.kind) {
        case 'Character':
          moves.push([step.of, step.next])
          break
        case 'Fork':
          for (const next of step.next) left.push(next)
          break
        case 'Ask':
          if ((answers & (1 << step.question)) !== 0) left.push(step.next)
          break
        case 'End':
          ends = true
          break
        case undefined:
          break
        default:
          step satisfies never
      }
    }
    return { ends, moves, next: new Map() }
  }

  const moved = (from: Open, character: number): State => {
    const known = from.next.get(character)
    if (known !== undefined) return known
    round += 1
    marks[start] = round
    const places = [start]
    for (const [of, next] of from.moves) {
      if (marks[next] === round || !takes(of, character)) continue
      marks[next] = round
      places.push(next)
    }
    const state = stateOf(places)
    if (fresh > mostFresh) return state
    if (remembered > mostRemembered) forget(from)
    remembered += 1
    from.next.set(character, state)
    return state
  }

  return {
    ends({ characters, answers }) {
      fresh = 0
      let state = stateOf([start])
      for (let place = 0; ; place++) {
        const here = opened(state, answers(place))
        if (here.ends) return true
        if (place >= characters.length) return false
        state = moved(here, characters[place] ?? 0)
      }
    },
    endings({ characters, answers }, backwards) {
      const { length } = characters
      const found = new Uint8Array(length + 1)
      fresh = 0
      let state = stateOf([start])
      for (let done = 0; ; done++) {
        const place = backwards ? length - done : done
        const here = opened(state, answers(place))
        if (here.ends) found[place] = 1
        if (done >= length) return found
        state = moved(here, characters[backwards ? place - 1 : place] ?? 0)
      }
    },
  }
}
