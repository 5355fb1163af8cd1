import { randomBytes } from 'node:crypto';
import { PassThrough, type Readable } from 'node:stream';
import { plainWords } from './guestfish-words.ts';

/** A command's output, and the complaints of guestfish. */
interface Answer {
  readonly said: string;
  readonly complaint: string;
}

/** A conversation over a program's standard streams, a command at a time. */
export interface Talk {
  readonly streams: {
    readonly input: Readable;
    readonly onOutput: (text: string, stream: 'stdout' | 'stderr') => void;
  };
  /** Says one line and waits for its answer; indefinitely when the program ends, which is for others to notice. */
  readonly say: (line: string) => Promise<Answer>;
  /** Nothing more is said. */
  readonly close: () => void;
}

/**
 * guestfish does not say when a command is done. So each is followed by two marks that nobody can foresee: a text that
 * it prints, and a command that it does not know, so that it complains.
 */
export function openTalk(): Talk {
  const input = new PassThrough();
  let said = '';
  let complaint = '';
  let answered: () => void = () => undefined;

  return {
    streams: {
      input,
      onOutput: (text, stream) => {
        if (stream === 'stdout') said += text;
        else complaint += text;
        answered();
      },
    },
    async say(line) {
      const mark = randomBytes(12).toString('hex');
      const marks = { said: `${mark}\n`, complaint: `${mark}: unknown command\n` };
      said = '';
      complaint = '';
      await new Promise<void>((resolve) => {
        answered = () => {
          if (said.endsWith(marks.said) && complaint.endsWith(marks.complaint)) resolve();
        };
        // A "-" in front: the session continues after a failure.
        input.write(`-${line}-${mark}\necho ${mark}\n`);
      });
      const words = complaint.slice(0, complaint.lastIndexOf('\n', complaint.length - marks.complaint.length) + 1);
      return { said: said.slice(0, -marks.said.length), complaint: plainWords(words) };
    },
    close: () => void input.end(),
  };
}
