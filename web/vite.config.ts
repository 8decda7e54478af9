import { defineConfig } from 'vite';

// While developing, `npm run dev` serves the page and hands everything else to a running server.
const server = process.env['RECADO_URL'] ?? 'http://127.0.0.1:8000';

export default defineConfig({
  base: '/',
  build: {
    // The built files are part of the repository, so that building the server needs no Node.
    outDir: '../src/console/assets',
    emptyOutDir: true,
    target: 'es2021',
    assetsDir: 'assets',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false, // one small sheet: a page that is fetched later is dressed at once
    rollupOptions: {
      output: {
        entryFileNames: 'assets/console-[hash].js',
        chunkFileNames: 'assets/[name]-[hash].js',
        assetFileNames: 'assets/console-[hash][extname]',
      },
    },
  },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/api': server,
      '/v1': server,
      '/metrics': server,
      '/health': server,
      '/connection': { target: server, ws: true },
    },
  },
});
