/* A firmware that does nothing, as fast as it can, on a pty whose name it prints.

   null_firmware STATS now                              an ok for each line as soon as it is here
   null_firmware STATS link BAUD MS RX QUEUE ADVANCED   a link of BAUD bits/s and MS milliseconds each way together, a
                                                        receive buffer of RX bytes (what is on the wire counts too) and
                                                        QUEUE commands; of more than four it also says that it has an
                                                        emergency parser; ADVANCED 1: `ok N1 P15 B3`

   What it counts is in the file STATS (struct seen) at any moment: lines of the file are those with a number, M105, M110
   and the host's own (from HOST on) aside. A numbered M105 out of turn is our driver's question where it is, no resend. M115 is answered with capabilities, M105 and M155 with temperatures that are
   always those asked for, a number that is not the next one as Marlin does; PRUSA Fir and M862.2 Q as a Prusa MK3. It
   ends when the client has gone, and after 1,800 s in any case. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { IN = 1 << 16, LINE = 128, OUT = 1 << 12, HOST = 1000000000 - 1 };

static int master, advanced, emergency, queue_size = 4, rx_size = 128;
static double byte_s, latency_s, tool, bed, report_s, report_at = 1e300;
static long last_number;

/* Times are CLOCK_MONOTONIC's, in seconds; 64-bit fields in this order. */
static struct seen { long executed, resends, overflows, most_bytes; double first_at, last_at; } *seen;

struct reply { double at; char text[200]; };
static struct reply out[OUT];
static unsigned out_head, out_tail;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void put(const char *text)
{
    size_t left = strlen(text);
    while (left) {
        ssize_t n = write(master, text, left);
        if (n > 0) { text += n; left -= (size_t)n; }
        else if (errno != EAGAIN) return;
    }
}

static void say(double at, const char *text)
{
    if (latency_s == 0.0) { put(text); return; }
    if (out_tail - out_head == OUT) return;
    struct reply *r = &out[out_tail++ % OUT];
    r->at = at;
    snprintf(r->text, sizeof r->text, "%s", text);
}

static void complain(double at, const char *why, const char *code)
{
    char text[160];
    seen->resends += !strstr(code, "M105");
    snprintf(text, sizeof text, "Error:%s, Last Line: %ld\nResend: %ld\nok\n", why, last_number, last_number + 1);
    say(at, text);
}

static void temperatures(char *text, size_t size, const char *before)
{
    snprintf(text, size, "%sT:%.2f /%.2f B:%.2f /%.2f @:0 B@:0\n", before, tool, tool, bed, bed);
}

static double word(const char *code, char letter, double otherwise)
{
    const char *found = strchr(code + 1, letter);
    return found ? atof(found + 1) : otherwise;
}

/* One whole line, without its end. */
static void take(double at, char *line)
{
    char text[160], *code = line;
    long number = -1;
    if (line[0] == 'N') {
        number = strtol(line + 1, &code, 10);
        char *star = strrchr(line, '*'), *moves = strstr(line, "M110");
        if (moves) {
            char *second = strchr(line + 4, 'N');
            if (second) number = strtol(second + 1, NULL, 10);
        } else if (number != last_number + 1) {
            if (number < last_number - 1 || number > last_number)
                complain(at, "Line Number is not Last Line Number+1", code);
            return;
        }
        if (!star) { complain(at, "No Checksum with line number", code); return; }
        unsigned char sum = 0;
        for (char *p = line; p < star; p++) sum ^= (unsigned char)*p;
        if (strtol(star + 1, NULL, 10) != sum) { complain(at, "checksum mismatch", code); return; }
        last_number = number;
        while (*code == ' ') code++;
    }
    if (number == 0) seen->executed = 0; /* M110 N0: a print begins */
    if (number > 0 && number < HOST && !strstr(line, "M110") && strncmp(code, "M105", 4)) {
        double t = now();
        if (!seen->executed) seen->first_at = t;
        seen->last_at = t;
        seen->executed++;
    }
    if (!strncmp(code, "M115", 4)) {
        snprintf(text, sizeof text, "FIRMWARE_NAME:Marlin null\nCap:AUTOREPORT_TEMP:1\nCap:EMERGENCY_PARSER:%d\nok\n", emergency);
        say(at, text);
    } else if (!strncmp(code, "M105", 4)) {
        temperatures(text, sizeof text, "ok ");
        say(at, text);
    } else if (!strncmp(code, "M114", 4)) {
        say(at, "X:0.00 Y:0.00 Z:0.00 E:0.00 Count X:0 Y:0 Z:0\nok\n");
    } else if (!strcmp(code, "PRUSA Fir")) {
        say(at, "3.14.0-8449\nok\n");
    } else if (!strcmp(code, "M862.2 Q")) {
        say(at, "300\nok\n");
    } else {
        if (!strncmp(code, "M104", 4) || !strncmp(code, "M109", 4)) tool = word(code, 'S', tool);
        if (!strncmp(code, "M140", 4) || !strncmp(code, "M190", 4)) bed = word(code, 'S', bed);
        if (!strncmp(code, "M155", 4)) {
            report_s = word(code, 'S', 0);
            report_at = report_s > 0 ? now() + report_s : 1e300;
        }
        if (!strncmp(code, "M110", 4) && number < 0) {
            last_number = (long)word(code, 'N', last_number);
            if (!last_number) seen->executed = 0;
        }
        snprintf(text, sizeof text, "ok N%ld P15 B%d\n", number, queue_size - 1);
        say(at, advanced && number >= 0 ? text : "ok\n");
    }
}

int main(int count, char **given)
{
    if (count == 8 && !strcmp(given[2], "link")) {
        byte_s = atof(given[3]) > 0 ? 10.0 / atof(given[3]) : 0.0;
        latency_s = atof(given[4]) / 1000.0;
        rx_size = atoi(given[5]);
        queue_size = atoi(given[6]);
        advanced = atoi(given[7]);
        emergency = queue_size > 4;
    } else if (count != 3) {
        return 64;
    }
    int stats = open(given[1], O_RDWR | O_CREAT, 0600);
    if (stats < 0 || ftruncate(stats, sizeof *seen)) return 73;
    seen = mmap(NULL, sizeof *seen, PROT_READ | PROT_WRITE, MAP_SHARED, stats, 0);
    if (seen == MAP_FAILED) return 73;
    setpriority(PRIO_PROCESS, 0, -20); /* where allowed: a real one does not share its processor with the host */
    master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) || unlockpt(master)) return 69;
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    struct termios raw;
    tcgetattr(slave, &raw);
    cfmakeraw(&raw);
    tcsetattr(slave, TCSANOW, &raw);
    printf("%s\n", ptsname(master));
    fflush(stdout);
    fcntl(master, F_SETFL, O_NONBLOCK);

    static char in[IN];
    static double arrives[IN];
    char line[LINE];
    size_t head = 0, tail = 0;
    int length = 0, attached = 0;
    double wire_free = 0.0, began = now();
    close(slave);
    while (now() - began < 1800.0) {
        double wake = 1e300, t;
        struct pollfd ready = {.fd = master, .events = POLLIN};
        t = now();
        while (out_head != out_tail && out[out_head % OUT].at <= t) put(out[out_head++ % OUT].text);
        if (t >= report_at) {
            char text[160];
            temperatures(text, sizeof text, "");
            say(t, text);
            report_at = t + report_s;
        }
        wake = report_at;
        if (out_head != out_tail && out[out_head % OUT].at < wake) wake = out[out_head % OUT].at;
        if (head != tail && arrives[head % IN] < wake) wake = arrives[head % IN];
        struct timespec pause = {0, 0};
        double left = wake - t;
        if (left > 0.25) left = 0.25;
        if (left > 0) pause.tv_nsec = (long)(left * 1e9);
        ppoll(&ready, 1, &pause, NULL);
        if (ready.revents & POLLIN) {
            char chunk[4096];
            ssize_t n = read(master, chunk, sizeof chunk);
            t = now();
            attached = 1;
            for (ssize_t i = 0; i < n; i++) {
                wire_free = (wire_free > t ? wire_free : t) + byte_s;
                if (latency_s > 0.0 && (long)(tail - head) >= rx_size - 1) { seen->overflows++; continue; } /* lost */
                in[tail % IN] = chunk[i];
                arrives[tail++ % IN] = wire_free + latency_s;
            }
            if ((long)(tail - head) > seen->most_bytes) seen->most_bytes = (long)(tail - head);
        } else if (ready.revents & POLLHUP) {
            if (attached) break;
            struct timespec rest = {0, 2000000};
            nanosleep(&rest, NULL);
        }
        t = now();
        while (head != tail && arrives[head % IN] <= t) {
            double at = arrives[head % IN];
            char byte = in[head++ % IN];
            if (byte != '\n') {
                if (length < LINE - 1) line[length++] = byte;
                continue;
            }
            line[length] = 0;
            if (length) take(at, line);
            length = 0;
        }
    }
    return 0;
}
