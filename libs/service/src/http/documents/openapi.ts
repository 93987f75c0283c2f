import {
  type Contract,
  type Endpoint,
  ERRORS,
  type ErrorCode,
  problemBody,
  serviceContract,
} from '@morpheo/common';
import { requestBody, responseContent, schemaOf } from './openapi-content.ts';

/** What a service calls itself. */
export interface ApiInfo {
  /** Such as `compute-api`. */
  readonly name: string;
  readonly version: string;
}

/** A part of the document: it is JSON. */
type Part = Record<string, unknown>;

/** Errors that any request may meet, by what its route asks for. */
const ALWAYS: readonly ErrorCode[] = ['internal'];
const WITH_CREDENTIALS: readonly ErrorCode[] = ['unauthenticated', 'forbidden', 'rate_limited'];
const WITH_JSON: readonly ErrorCode[] = ['too_large', 'unsupported_media_type', 'timed_out'];

/**
 * The OpenAPI 3.1 document of an API: its routes with every error that they answer, and those of every service.
 * It is plain JSON; the same contract gives the same document.
 */
export function openApiDocument(contract: Contract, info: ApiInfo): Record<string, unknown> {
  const paths: Record<string, Part> = {};
  const endpoints = { ...serviceContract.endpoints, ...contract.endpoints };
  for (const [key, endpoint] of Object.entries(endpoints)) {
    const path = endpoint.path.replaceAll(/:(\w+)/g, '{$1}');
    const methods = paths[path] ?? {};
    methods[endpoint.method.toLowerCase()] = operation(key, endpoint);
    paths[path] = methods;
  }
  return {
    openapi: '3.1.1',
    info: { title: contract.title, version: info.version, description: contract.description },
    servers: [{ url: './', description: info.name }],
    paths,
    components: {
      schemas: { Problem: schemaOf(problemBody, 'output') },
      securitySchemes: {
        basic: { type: 'http', scheme: 'basic' },
        bearer: {
          type: 'http',
          scheme: 'bearer',
          description: 'The token is the name, a dot, and the secret.',
        },
      },
    },
  };
}

function operation(key: string, endpoint: Endpoint): Part {
  const { summary, description, access, body } = endpoint;
  const said = [description, accessText(access)].filter((text) => text !== undefined).join('\n\n');
  return {
    operationId: key,
    summary,
    description: said,
    ...(access === 'public' ? { security: [] } : { security: securityOf(access) }),
    parameters: parametersOf(endpoint),
    ...(body === undefined ? {} : { requestBody: requestBody(body) }),
    responses: responsesOf(endpoint),
  };
}

function accessText(access: Endpoint['access']): string {
  if (access === 'public') return 'Open to anybody.';
  if (access === 'intake')
    return 'Open to anybody where the service allows it; else for the role orchestrator.';
  return `For the roles: ${[...new Set(['admin', ...access])].join(', ')}.`;
}

function securityOf(access: Exclude<Endpoint['access'], 'public'>): Part[] {
  const known: Part[] = [{ basic: [] }, { bearer: [] }];
  return access === 'intake' ? [...known, {}] : known;
}

const PLACES = { params: 'path', query: 'query', headers: 'header' } as const;

function parametersOf(endpoint: Endpoint): Part[] {
  const parameters: Part[] = [];
  for (const [part, place] of Object.entries(PLACES) as [keyof typeof PLACES, string][]) {
    const schema = endpoint[part];
    if (schema === undefined) continue;
    const { properties = {}, required = [] } = schemaOf(schema, 'input');
    for (const [name, of] of Object.entries(properties)) {
      parameters.push({
        name,
        in: place,
        required: place === 'path' || required.includes(name),
        schema: of,
      });
    }
  }
  return parameters;
}

function responsesOf(endpoint: Endpoint): Record<string, Part> {
  const { status, response, method, access, body } = endpoint;
  const content = method === 'HEAD' && response.type !== 'headers' ? {} : responseContent(response);
  const responses: Record<string, Part> = { [status]: { description: 'Done', ...content } };
  const codes = new Set<ErrorCode>([
    ...endpoint.errors,
    ...(access === 'public' ? [] : WITH_CREDENTIALS),
    ...(body?.type === 'json' ? WITH_JSON : []),
    ...ALWAYS,
  ]);
  for (const code of codes) {
    const { status: failed, title } = ERRORS[code];
    const line = `\`${code}\`: ${title}.`;
    const known = responses[failed]?.description;
    responses[failed] = {
      description: known === undefined ? line : `${known}\n${line}`,
      ...problemContent(endpoint),
    };
  }
  return responses;
}

function problemContent({ classic, method }: Endpoint): Part {
  if (method === 'HEAD') return {};
  const type = classic === true ? 'application/json' : 'application/problem+json';
  return { content: { [type]: { schema: { $ref: '#/components/schemas/Problem' } } } };
}
