/** Requests to the gateway's API, to compare a page with it. */
import { expect, type APIRequestContext } from '@playwright/test';

export async function get<T>(request: APIRequestContext, path: string): Promise<T> {
  const answer = await request.get(path);
  expect(answer.ok(), path).toBeTruthy();
  return (await answer.json()) as T;
}

/** Stores an event. The gateway invents missing fields. */
export async function post<T>(request: APIRequestContext, path: string, fields: Partial<T> = {}): Promise<T> {
  const answer = await request.post(path, { data: fields });
  expect(answer.status(), await answer.text()).toBe(201);
  return (await answer.json()) as T;
}
