/* tidy ROOT: checks the house rules on the sources below ROOT. Exit code 1 when one is broken. */
#include "tidy.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    const char *root = argc > 1 ? argv[1] : ".";
    char path[4096];
    snprintf(path, sizeof(path), "%s/tests/layers.txt", root);
    char *layers = file_read(path);
    if (layers == NULL) {
        fprintf(stderr, "tidy: cannot read %s\n", path);
        return 2;
    }
    struct tidy t;
    tidy_init(&t, stdout, layers);
    tidy_check_tree(&t, root, "src");
    tidy_check_tree(&t, root, "tests");
    tidy_check_tree(&t, root, "bench");
    printf("%zu files, %zu breaches\n", t.files, t.breaches);
    free(layers);
    return t.breaches > 0 || t.files == 0;
}
