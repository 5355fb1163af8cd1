import type { Command } from 'commander';

/** Where a command’s words go: what was asked for on standard output, everything else on standard error. */
export interface Output {
  readonly json: boolean;
  /** True: no questions. */
  readonly yes: boolean;
  /** Prints the command's result: a document for programs, or a text for people. */
  result(document: unknown, text: string): void;
  /** A line about what is going on. */
  note(line: string): void;
}

/** The output that the command’s own and the global options ask for. */
export function outputOf(command: Command): Output {
  const { json = false, yes = false } = command.optsWithGlobals<{ json?: boolean; yes?: boolean }>();
  return {
    json,
    yes: yes || process.stdin.isTTY !== true,
    result: (document, text) => void process.stdout.write(`${json ? JSON.stringify(document) : text}\n`),
    note: (line) => void process.stderr.write(`${line}\n`),
  };
}

/**
 * Takes what leaves the terminal alone out of words that came from elsewhere: no escape sequence of theirs is obeyed.
 */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '�');
}
