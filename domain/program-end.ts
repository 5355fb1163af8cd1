/** How a program ended, as facts. Whoever decides by a program's end reads these fields, and never a message's text. */
export interface ProgramEnd {
  readonly program: string;
  /** Null where a signal ended it. */
  readonly exitCode: number | null;
  /** As "SIGSEGV"; null where it exited by itself. */
  readonly signal: string | null;
  /** The end of what it printed on its error output, 600 characters at most. */
  readonly stderrTail: string;
  /** The limit that everboot ended it for; null: it ended by itself, or somebody else ended it. */
  readonly cut: 'output' | 'time' | null;
}
