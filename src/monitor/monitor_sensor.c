/*
 * monitor_sensor.c - the processor's temperature, as the kernel's drivers tell it.
 *
 * Why it exists: drivers of sensors are found under two trees and many names; a machine without one
 * (most virtual ones) has no temperature, which is said as such.
 */
#include "monitor/monitor_priv.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_MAX_BYTES = 512 };

/* One tree: its devices, the file that names a device, and the one that holds the temperature. */
struct sensor_tree {
    const char *folder, *name_file, *value_file;
    const char *const *names; // the best first
    size_t name_count;
};

static const char *const hwmon_names[] = {"coretemp", "k10temp", "zenpower", "cpu_thermal",
                                          "via_cputemp"};
static const char *const zone_names[] = {"x86_pkg_temp", "cpu-thermal", "cpu_thermal",
                                         "soc-thermal", "acpitz"};

static const struct sensor_tree trees[] = {
    {"class/hwmon", "name", "temp1_input", hwmon_names,
     sizeof(hwmon_names) / sizeof(hwmon_names[0])},
    {"class/thermal", "type", "temp", zone_names, sizeof(zone_names) / sizeof(zone_names[0])},
};

static bool read_device_file(const char *tree, const char *device, const char *file, char *at,
                             size_t cap)
{
    char path[PATH_MAX_BYTES];
    int n = snprintf(path, sizeof(path), "%s/%s/%s", tree, device, file);
    if (n < 0 || (size_t)n >= sizeof(path) || !read_text_file(path, at, cap))
        return false;
    at[strcspn(at, "\n")] = '\0';
    return true;
}

/* The device's place in the list of names, or their number: it is none of them. */
static size_t rank_of(const struct sensor_tree *t, const char *path, const char *device)
{
    char name[MONITOR_NAME_MAX];
    size_t i = 0;
    if (!read_device_file(path, device, t->name_file, name, sizeof(name)))
        return t->name_count;
    while (i < t->name_count && strcmp(name, t->names[i]) != 0)
        i++;
    return i;
}

static double read_tree(const struct sensor_tree *t, const char *sys)
{
    char path[PATH_MAX_BYTES / 2], value[32];
    double best = NAN;
    size_t best_rank = t->name_count;
    snprintf(path, sizeof(path), "%s/%s", sys, t->folder);
    DIR *d = opendir(path);
    if (d == NULL)
        return NAN;
    const struct dirent *entry;
    while ((entry = readdir(d)) != NULL) {
        size_t rank = entry->d_name[0] != '.' ? rank_of(t, path, entry->d_name) : t->name_count;
        if (rank >= best_rank ||
            !read_device_file(path, entry->d_name, t->value_file, value, sizeof(value)))
            continue;
        best = strtod(value, NULL) / 1000;
        best_rank = rank;
    }
    closedir(d);
    return best;
}

double read_cpu_temperature(const char *sys)
{
    double c = NAN;
    for (size_t i = 0; isnan(c) && i < sizeof(trees) / sizeof(trees[0]); i++)
        c = read_tree(&trees[i], sys);
    return c;
}
