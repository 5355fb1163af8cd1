/** The file in the state folder in which a running `up` publishes its Temporal server's address for other commands. */
export const upFileName = 'up.json';

export interface UpFile {
  readonly temporal: string;
  /** Null where the server is not ours and so its UI is not known. */
  readonly ui: string | null;
  readonly host: string;
  readonly namespace: string;
  readonly pid: number;
}
