import type { Content } from '@morpheo/common';
import { z } from 'zod';

/** A JSON Schema (draft 2020-12, as OpenAPI 3.1 has it), as far as its reader looks into it. */
export interface JsonSchema {
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly required?: readonly string[];
  readonly [keyword: string]: unknown;
}

/** The versions of OpenAPI that documents are written in: the second is that of the originals. */
export type OpenApiVersion = '3.1.1' | '3.0.2';

/** The JSON Schema of what a schema takes (`input`) or gives (`output`). What JSON Schema cannot say is left open. */
export function schemaOf(
  schema: z.ZodType,
  io: 'input' | 'output',
  version: OpenApiVersion = '3.1.1',
): JsonSchema {
  const { $schema, $defs, ...rest } = z.toJSONSchema(schema, {
    io,
    target: version === '3.0.2' ? 'openapi-3.0' : 'draft-2020-12',
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      // Noise in answers: the bounds of exact integers, and a promise that no member will ever be added.
      if (io === 'input') return;
      if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
      if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
      if (jsonSchema.additionalProperties === false) delete jsonSchema.additionalProperties;
    },
  });
  return $defs === undefined ? rest : withoutReferences(rest);
}

/** What refers to itself is left open: its definition would have no place in the document. */
function withoutReferences<T>(schema: T): T {
  const replace = (_: string, part: unknown): unknown =>
    typeof part === 'object' && part !== null && '$ref' in part ? {} : part;
  return JSON.parse(JSON.stringify(schema, replace)) as T;
}

function bytesOf(
  { mediaType, line, whole }: Extract<Content, { type: 'bytes' }>,
  io: 'input' | 'output',
  version: OpenApiVersion,
) {
  if (whole !== undefined) return { [mediaType]: { schema: schemaOf(whole, io, version) } };
  if (line === undefined) return { [mediaType]: {} };
  const description = `Each line: ${JSON.stringify(schemaOf(line, io, version))}`;
  return { [mediaType]: { schema: { type: 'string', description } } };
}

/** The body that a route takes. */
export function requestBody(content: Content, version: OpenApiVersion): Record<string, unknown> {
  if (content.type === 'json') return { required: true, ...jsonOf(content.schema, 'input', version) };
  if (content.type === 'bytes') return { required: true, content: bytesOf(content, 'input', version) };
  return {};
}

/** The content that is JSON of a schema. */
export function jsonOf(schema: z.ZodType, io: 'input' | 'output', version: OpenApiVersion) {
  return { content: { 'application/json': { schema: schemaOf(schema, io, version) } } };
}

/** The content of a route's answer. */
export function responseContent(content: Content, version: OpenApiVersion): Record<string, unknown> {
  if (content.type === 'json' || content.type === 'unread') return jsonOf(content.schema, 'output', version);
  if (content.type === 'bytes') return { content: bytesOf(content, 'output', version) };
  if (content.type === 'headers') {
    const headers = Object.entries(content.headers).map(([name, description]) => [
      name,
      { description, schema: { type: 'string' } },
    ]);
    return { headers: Object.fromEntries(headers) };
  }
  if (content.type === 'events') {
    const schema = {
      type: 'string',
      description: `Data of each event: ${JSON.stringify(schemaOf(content.schema, 'output', version))}`,
    };
    return { content: { 'text/event-stream': { schema } } };
  }
  return {};
}
