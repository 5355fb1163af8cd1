/** The file in the state folder in which a running `up` tells the other commands where its Temporal server is. */
export const upFileName = 'up.json';

export interface UpFile {
  readonly temporal: string;
  /** Null where the server is not ours and so its UI is not known. */
  readonly ui: string | null;
  readonly host: string;
  readonly namespace: string;
  readonly pid: number;
}
