/*
 * cli_version.c - recado version.
 */
#include "app/cli.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <stdio.h>

#ifndef RECADO_VERSION
#define RECADO_VERSION "0.0.0"
#endif

static const char help[] = "usage: recado version [--json]\n"
                           "\n"
                           "Prints the version, and those of the libraries that it runs with.\n"
                           "\n"
                           "  recado version\n"
                           "  recado version --json | jq -r .version\n";

int cli_version(int argc, char **argv)
{
    bool json = false;
    struct cli_list rest;
    const struct cli_option options[] = {{"json", 0, CLI_FLAG, &json}, {0}};
    const struct cli_spec spec = {"version", help, options};
    enum cli_parsed parsed = cli_parse(&spec, argc, argv, &rest);
    if (parsed != CLI_GO)
        return cli_parsed_exit(parsed);
    if (rest.count > 0)
        return cli_refuse(&spec, "unexpected argument '%s'", rest.items[0]);
    const char *ssl = OpenSSL_version(OPENSSL_VERSION_STRING);
    const char *curl = curl_version_info(CURLVERSION_NOW)->version;
    if (cli_out_choose(json).json)
        printf("{\"version\":\"%s\",\"openssl\":\"%s\",\"libcurl\":\"%s\"}\n", RECADO_VERSION, ssl,
               curl);
    else
        printf("recado %s (OpenSSL %s, libcurl %s)\n", RECADO_VERSION, ssl, curl);
    return CLI_DONE;
}
