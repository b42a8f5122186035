/** The terminal of a command: its outputs and its exit code. Tests give a command a terminal of their own, so that it needs no process. */
export interface Terminal {
  /** Writes to standard output; the text holds its line ends. */
  readonly out: (text: string) => void
  /** Writes to standard error. */
  readonly err: (text: string) => void
  /** The exit code of the command; 0 unless it says another. */
  readonly endWith: (code: number) => void
}

export const processTerminal: Terminal = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  endWith: (code) => {
    process.exitCode = code
  },
}
