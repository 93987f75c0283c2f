import { bytes, defineContract, events, json, nothing, unread } from '@morpheo/common';
import * as z from 'zod';

const common = { summary: 'x', access: 'public', errors: [] } as const;
const one = z.object({ id: z.string() });

/** A contract with a function of each kind. */
export const contract = defineContract({
  title: 'Small API',
  description: 'x',
  errorKey: 'error',
  realm: 'x',
  endpoints: {
    change: {
      ...common,
      method: 'PUT',
      path: '/things/:id',
      params: one,
      query: z.object({ limit: z.int().optional(), word: z.string().optional() }),
      headers: z.object({ 'if-match': z.string().optional() }),
      body: json(z.object({ name: z.string() })),
      status: 200,
      response: json(z.object({ n: z.int() })),
    },
    drop: {
      ...common,
      method: 'DELETE',
      path: '/things/:id',
      params: one,
      status: 204,
      response: nothing,
    },
    upload: {
      ...common,
      method: 'POST',
      path: '/things',
      body: bytes(),
      status: 201,
      response: json(z.object({ n: z.int() })),
    },
    download: {
      ...common,
      method: 'GET',
      path: '/things/:id/blob',
      params: one,
      headers: z.object({ 'if-none-match': z.string().optional() }),
      status: 200,
      response: bytes(),
    },
    tell: {
      ...common,
      method: 'POST',
      path: '/things/:id',
      params: one,
      status: 200,
      response: unread(z.object({ n: z.int() })),
    },
    watch: {
      ...common,
      method: 'GET',
      path: '/things/:id/events',
      params: one,
      headers: z.object({ 'last-event-id': z.string().optional() }),
      status: 200,
      response: events(z.object({ n: z.int() })),
    },
  },
});
