import { type Contract, type Endpoint, problemBody, serviceContract } from '@morpheo/common';
import { z } from 'zod';
import { jsonOf, type OpenApiVersion, requestBody, responseContent, schemaOf } from './openapi-content.ts';
import { errorResponses } from './openapi-errors.ts';

/** What a service calls itself. */
export interface ApiInfo {
  /** Such as `compute-api`. */
  readonly name: string;
  readonly version: string;
}

/** A part of the document: it is JSON. */
type Part = Record<string, unknown>;

/**
 * The OpenAPI document of an API (3.1 where no version is said): its routes with every error that they answer, and those of
 * every service. It is plain JSON; the same contract gives the same document.
 */
export function openApiDocument(
  contract: Contract,
  info: ApiInfo,
  version: OpenApiVersion = '3.1.1',
): Record<string, unknown> {
  const paths: Record<string, Part> = {};
  const endpoints = { ...serviceContract.endpoints, ...contract.endpoints };
  for (const [key, endpoint] of Object.entries(endpoints)) {
    const path = endpoint.path.replaceAll(/:(\w+)/g, '{$1}');
    const methods = paths[path] ?? {};
    methods[endpoint.method.toLowerCase()] = operation(key, endpoint, { contract, version });
    paths[path] = methods;
  }
  return {
    openapi: version,
    info: { title: contract.title, version: info.version, description: contract.description },
    servers: [{ url: './', description: info.name }],
    paths,
    components: {
      schemas: { Problem: schemaOf(errorBodyOf(contract), 'output', version) },
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

/** For whom, and in which version, a part is written. */
interface Writing {
  readonly contract: Contract;
  readonly version: OpenApiVersion;
}

function errorBodyOf({ errorKey }: Contract): z.ZodType {
  return errorKey === 'message' ? z.object({ message: z.string() }) : problemBody;
}

function operation(key: string, endpoint: Endpoint, writing: Writing): Part {
  const { summary, description, access, body } = endpoint;
  const said = [description, accessText(access)].filter((text) => text !== undefined).join('\n\n');
  return {
    operationId: key,
    summary,
    description: said,
    ...(access === 'public' ? { security: [] } : { security: securityOf(access) }),
    parameters: parametersOf(endpoint, writing),
    ...(body === undefined ? {} : { requestBody: requestBody(body, writing.version) }),
    responses: responsesOf(endpoint, writing),
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

function parametersOf(endpoint: Endpoint, { version }: Writing): Part[] {
  const parameters: Part[] = [];
  for (const [part, place] of Object.entries(PLACES) as [keyof typeof PLACES, string][]) {
    const schema = endpoint[part];
    if (schema === undefined) continue;
    const { properties = {}, required = [] } = schemaOf(schema, 'input', version);
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

function responsesOf(endpoint: Endpoint, { contract, version }: Writing): Part {
  const { status, response, method, deferred, also = {} } = endpoint;
  const content = method === 'HEAD' && response.type !== 'headers' ? {} : responseContent(response, version);
  const putOff =
    deferred === undefined
      ? {}
      : { 202: { description: 'Put off: `Location` says where it is', ...content } };
  const others = Object.entries(also).map(([code, schema]) => [
    code,
    { description: 'Not done', ...jsonOf(schema, 'output', version) },
  ]);
  return {
    [status]: { description: 'Done', ...content },
    ...putOff,
    ...errorResponses(endpoint, contract),
    ...Object.fromEntries(others),
  };
}
