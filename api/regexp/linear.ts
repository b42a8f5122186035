/**
 * Regular expressions of ECMAScript in linear time, lookaround included. Each lookaround runs over the whole text once, before the
 * part that contains it. Its answer at each place is kept. A lookahead runs from the end of the text. Only back-references are left
 * out.
 */
import { compile, type Numbering } from './program.ts'
import { createRunner, type Runner, type Text } from './run.ts'
import { type Edge, NotLinear, parse, reversed, type Shape } from './syntax.ts'

export interface LinearMatcher {
  test(text: string): boolean
  /** One text for each pattern: ajv keeps matchers by it. */
  toString(): string
  /** Times that the text is read. */
  readonly readings: number
}

/** Answers for a text, by place. */
type Asked = (characters: Int32Array, found: readonly Uint8Array[], place: number) => boolean

interface Look {
  readonly runner: Runner
  readonly behind: boolean
}

/** As many as a number has bits. */
const mostQuestions = 31

/** Throws NotLinear. @param pattern that V8 takes with the flag `u` */
export function linearMatcher(pattern: string): LinearMatcher {
  const classes = createClasses()
  const questions = new Map<string, { readonly at: number; readonly asked: Asked }>()
  /** Inner ones stand before those that contain them. */
  const looks: Look[] = []

  const numbered = (key: string, asked: Asked): number => {
    const known = questions.get(key)
    if (known !== undefined) return known.at
    const at = questions.size
    if (at >= mostQuestions) throw new NotLinear(`it has more than ${mostQuestions} different assertions`)
    questions.set(key, { at, asked })
    return at
  }

  const lookAt = (shape: Extract<Shape, { kind: 'Look' }>): number => {
    const { behind, negative, body } = shape
    const program = compile(behind ? body : reversed(body), numbering)
    const index = looks.push({ runner: createRunner(program, classes.takes), behind }) - 1
    return numbered(`look ${index}`, (_, found, place) => (found[index]?.[place] === 1) !== negative)
  }

  const lookNumbers = new Map<Shape, number>()
  const numbering: Numbering = {
    character: classes.numberOf,
    question(shape) {
      if (shape.kind === 'Edge') return numbered(`${shape.edge} ${shape.ignoreCase}`, edgeQuestion(shape.edge, shape.ignoreCase))
      const known = lookNumbers.get(shape) ?? lookAt(shape)
      lookNumbers.set(shape, known)
      return known
    },
  }

  const main = createRunner(compile(parse(pattern), numbering), classes.takes)
  const asked = [...questions.values()].map((one) => one.asked)

  return {
    readings: 1 + looks.length,
    toString: () => `/${pattern}/linear`,
    test(text) {
      const characters = charactersOf(text)
      const found: Uint8Array[] = []
      const answers = (place: number) => {
        let bits = 0
        for (let at = 0; at < asked.length; at++) if (asked[at]?.(characters, found, place) === true) bits |= 1 << at
        return bits
      }
      const read: Text = { characters, answers }
      for (const { runner, behind } of looks) found.push(runner.endings(read, !behind))
      return main.ends(read)
    },
  }
}

function charactersOf(text: string): Int32Array {
  const characters = new Int32Array(text.length)
  let count = 0
  for (let at = 0; at < text.length; count++) {
    const code = text.codePointAt(at) ?? 0
    characters[count] = code
    at += code > 0xffff ? 2 : 1
  }
  return characters.subarray(0, count)
}

interface Classes {
  numberOf(shape: Extract<Shape, { kind: 'Character' }>): number
  takes(of: number, character: number): boolean
}

const ascii = 128

/** V8 judges single characters, each ASCII character once. */
function createClasses(): Classes {
  const numbers = new Map<string, number>()
  const forms: { readonly form: RegExp; readonly known: Int8Array }[] = []
  return {
    numberOf({ text, flags: { ignoreCase, dotAll } }) {
      const flags = `u${ignoreCase ? 'i' : ''}${dotAll ? 's' : ''}`
      const key = `${flags} ${text}`
      const number = numbers.get(key) ?? forms.push({ form: new RegExp(`^(?:${text})$`, flags), known: new Int8Array(ascii) }) - 1
      numbers.set(key, number)
      return number
    },
    takes(of, character) {
      const found = forms[of]
      if (found === undefined) return false
      const { form, known } = found
      if (character >= ascii) return form.test(String.fromCodePoint(character))
      known[character] ||= form.test(String.fromCodePoint(character)) ? 1 : -1
      return known[character] === 1
    },
  }
}

const lineEnd = /^[\n\r\u2028\u2029]$/u
const isLineEnd = (character: number | undefined) => character !== undefined && lineEnd.test(String.fromCodePoint(character))

function edgeQuestion(edge: Edge, ignoreCase: boolean): Asked {
  const word = ignoreCase ? /^\w$/iu : /^\w$/u
  const isWord = (character: number | undefined) => character !== undefined && word.test(String.fromCodePoint(character))
  switch (edge) {
    case 'Start':
      return (_, __, place) => place === 0
    case 'End':
      return ({ length }, _, place) => place === length
    case 'LineStart':
      return (characters, _, place) => place === 0 || isLineEnd(characters[place - 1])
    case 'LineEnd':
      return (characters, _, place) => place === characters.length || isLineEnd(characters[place])
    case 'Boundary':
      return (characters, _, place) => isWord(characters[place - 1]) !== isWord(characters[place])
    case 'NoBoundary':
      return (characters, _, place) => isWord(characters[place - 1]) === isWord(characters[place])
    default:
      return edge satisfies never
  }
}
