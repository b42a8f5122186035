/**
 * The deterministic machine of a program, made as texts need it. The set of steps that the machine is in is one state, and a state remembers
 * where each character leads. The machine's memory has a bound. Beyond it the machine is made anew.
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

interface Machine {
  /** The state at the beginning of a text. The bound on new states counts from here. */
  begin(): State
  /** @param answers to the questions at the state's place, one bit each */
  open(state: State, answers: number): Open
  move(from: Open, character: number): State
}

/** Remembered moves and steps: a few megabytes. */
const mostRemembered = 100_000
/** New states that one text may make. A text that leads to more was probably written to exhaust the memory: its states are not kept. */
const mostFresh = 1_000

export function createMachine({ steps, start }: Program, takes: (of: number, character: number) => boolean): Machine {
  let states = new Map<string, State>()
  let remembered = 0
  let fresh = 0
  const visited = createVisits(steps.length)

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

  return {
    begin() {
      fresh = 0
      return stateOf([start])
    },
    open(state, answers) {
      const known = state.open.get(answers)
      if (known !== undefined) return known
      const opened = openedBy(steps, state.steps, answers, visited)
      remembered += opened.moves.length + 1
      state.open.set(answers, opened)
      return opened
    },
    move(from, character) {
      const known = from.next.get(character)
      if (known !== undefined) return known
      visited.begin()
      visited.isFirst(start)
      const places = [start]
      for (const [of, next] of from.moves) if (takes(of, character) && visited.isFirst(next)) places.push(next)
      const state = stateOf(places)
      if (fresh > mostFresh) return state
      if (remembered > mostRemembered) forget(from)
      remembered += 1
      from.next.set(character, state)
      return state
    },
  }
}

/** Follows the steps that take no character, each once. */
function openedBy(steps: Program['steps'], from: readonly number[], answers: number, visited: Visits): Open {
  visited.begin()
  const moves: (readonly [number, number])[] = []
  let ends = false
  const left = [...from]
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    if (!visited.isFirst(at)) continue
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

/** Steps that one walk has met. One array serves all walks, since a walk is made for each character. */
interface Visits {
  begin(): void
  /** Whether this walk meets the step for the first time. */
  isFirst(step: number): boolean
}

function createVisits(count: number): Visits {
  const marks = new Int32Array(count)
  let round = 0
  return {
    begin() {
      round += 1
    },
    isFirst(step) {
      if (marks[step] === round) return false
      marks[step] = round
      return true
    },
  }
}
