/** A history as it is kept: with names in it that stand for those of the machine and of the run that made it. */
export function anonymous(history: string, names: Readonly<Record<string, string>>): string {
  const rename = (text: string): string =>
    Object.entries(names).reduce((renamed, [name, other]) => renamed.replaceAll(name, other), text);
  const renamed = JSON.parse(rename(history), (_key, value) => (isPayload(value) ? withData(value, rename) : value));
  return `${JSON.stringify(renamed, null, 1)}\n`;
}

interface Payload {
  readonly metadata: object;
  readonly data: string;
}

/** Whether a value is a payload: the inputs and results of workflows and steps are in a history in base 64. */
function isPayload(value: unknown): value is Payload {
  const { metadata, data } = (value ?? {}) as Partial<Payload>;
  return typeof metadata === 'object' && typeof data === 'string';
}

function withData(payload: Payload, change: (text: string) => string): Payload {
  const text = Buffer.from(payload.data, 'base64').toString('utf8');
  return { ...payload, data: Buffer.from(change(text)).toString('base64') };
}
