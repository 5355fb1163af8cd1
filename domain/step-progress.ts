/** How far a step has come; sent as an activity's heartbeat and shown in the terminal. */
export interface StepProgress {
  readonly doneBytes: number;
  /** Null where the whole is not known. */
  readonly totalBytes: number | null;
  /** A few words where bytes say too little: "waiting for web-1, which fetches the same image". */
  readonly note?: string;
}

/** The control of a long piece of work: it stops on the signal, and reports progress as often as it likes. */
export interface WorkControl {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: StepProgress) => void;
}
