import { Argument, type Command } from 'commander';
import { outputOf } from '../output.ts';

type Subject = 'spec' | 'config' | 'result';

export function addSchemaCommand(program: Command): void {
  program
    .command('schema')
    .description('print the JSON Schema of a spec, the configuration or a result')
    .addArgument(
      new Argument('[subject]', 'spec, config or result').choices(['spec', 'config', 'result']).default('spec'),
    )
    .action(async (subject: Subject, _options: object, command: Command) => {
      const schema = await schemaOf(subject);
      outputOf(command).result(schema, JSON.stringify(schema, null, 2));
    });
}

async function schemaOf(subject: Subject): Promise<unknown> {
  switch (subject) {
    case 'spec':
      return (await import('../../domain/parse-spec.ts')).specJsonSchema();
    case 'config':
      return (await import('../../domain/configuration-schema.ts')).configurationJsonSchema();
    case 'result':
      return (await import('../../domain/result-schema.ts')).resultJsonSchema();
  }
}
