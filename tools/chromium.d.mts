import type { Page } from "playwright-core";

export const hasChromium: boolean;
export function openChromium(options?: object): Promise<{ page: Page; close: () => Promise<void> }>;
