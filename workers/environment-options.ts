import { sections } from '../domain/configuration-options.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** An option that the environment sets, and the variable that does. */
export interface EnvironmentOption {
  readonly variable: string;
  readonly section: string;
  readonly option: string;
  readonly value: unknown;
}

/** Variables that begin with EVERBOOT_ and say something else than an option. */
const otherVariables = /^EVERBOOT_(CONFIG$|STATE_DIR$|TEST_)/;

/** Flavors come from the file alone: their names hold dots, which variables cannot. */
const sectionNames = [...Object.keys(sections), 'flavors'];

/**
 * The options that the environment sets: `EVERBOOT_<SECTION>_<KEY>`, in capitals. An option that is unknown, or a value
 * that is not of its option's type, stays a text, for the configuration's own check to refuse it by name.
 */
export function environmentOptions(environment: Environment): readonly EnvironmentOption[] {
  return Object.entries(environment).flatMap(([variable, text]): EnvironmentOption[] => {
    if (text === undefined || !variable.startsWith('EVERBOOT_') || otherVariables.test(variable)) return [];
    const name = variable.slice('EVERBOOT_'.length).toLowerCase();
    const section = sectionNames.find((candidate) => name.startsWith(`${candidate}_`));
    if (section === undefined) return [];
    const option = name.slice(section.length + 1);
    return [{ variable, section, option, value: typedValue(text, optionType(section, option)) }];
  });
}

function typedValue(text: string, type: string): unknown {
  switch (type) {
    case 'number':
      return /^-?\d{1,15}$/.test(text) ? Number(text) : text;
    case 'boolean':
      if (/^(true|1|yes)$/i.test(text)) return true;
      return /^(false|0|no)$/i.test(text) ? false : text;
    case 'array':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    default:
      return text;
  }
}

interface OptionSchema {
  readonly def: { readonly type: string; readonly innerType?: OptionSchema; readonly in?: OptionSchema };
}

/** The type of an option's value without its default, by zod's name. */
function optionType(section: string, option: string): string {
  const shapes: Readonly<Record<string, { readonly shape: object }>> = sections;
  const options = (shapes[section]?.shape ?? {}) as Readonly<Record<string, OptionSchema>>;
  let schema = Object.hasOwn(options, option) ? options[option] : undefined;
  let type = 'string';
  while (schema !== undefined) {
    type = schema.def.type;
    schema = schema.def.innerType ?? schema.def.in;
  }
  return type;
}
