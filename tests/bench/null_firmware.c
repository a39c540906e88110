/* A firmware that does nothing, as fast as it can, on a pty whose name it prints.

   null_firmware now                              an ok for each line as soon as it is here
   null_firmware link BAUD MS RX QUEUE ADVANCED   a link of BAUD bits/s and MS milliseconds each way together, a receive
                                                  buffer of RX bytes (what is on the wire counts too) and QUEUE commands, of more than four of which it also says that
   it has an emergency parser; ADVANCED 1: `ok N1 P15 B3`

   M115 is answered with capabilities, M105 with temperatures, a number that is not the next one as Marlin does. When the
   client has gone it prints what it saw, one line of key=value, and ends. It ends after 300 s in any case. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { IN = 1 << 16, LINE = 128, OUT = 1 << 12 };

static int master, advanced, emergency, queue_size = 4, rx_size = 128;
static double byte_s, latency_s;
static long last_number, executed, resends, overflows, most_bytes;
static double first_at, last_at;

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

static void complain(double at, const char *why)
{
    char text[160];
    resends++;
    snprintf(text, sizeof text, "Error:%s, Last Line: %ld\nResend: %ld\nok\n", why, last_number, last_number + 1);
    say(at, text);
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
                complain(at, "Line Number is not Last Line Number+1");
            return;
        }
        if (!star) { complain(at, "No Checksum with line number"); return; }
        unsigned char sum = 0;
        for (char *p = line; p < star; p++) sum ^= (unsigned char)*p;
        if (strtol(star + 1, NULL, 10) != sum) { complain(at, "checksum mismatch"); return; }
        last_number = number;
        while (*code == ' ') code++;
    }
    if (code[0] == 'G' && code[1] == '1') {
        if (!executed++) first_at = now();
        last_at = now();
    }
    if (!strncmp(code, "M115", 4)) {
        snprintf(text, sizeof text, "FIRMWARE_NAME:Marlin null\nCap:AUTOREPORT_TEMP:1\nCap:EMERGENCY_PARSER:%d\nok\n", emergency);
        say(at, text);
    } else if (!strncmp(code, "M105", 4)) {
        say(at, "ok T:20.0 /0.0 B:20.0 /0.0 @:0 B@:0\n");
    } else if (advanced && number >= 0) {
        snprintf(text, sizeof text, "ok N%ld P15 B%d\n", number, queue_size - 1);
        say(at, text);
    } else {
        say(at, "ok\n");
    }
}

int main(int count, char **given)
{
    if (count == 7 && !strcmp(given[1], "link")) {
        byte_s = atof(given[2]) > 0 ? 10.0 / atof(given[2]) : 0.0;
        latency_s = atof(given[3]) / 1000.0;
        rx_size = atoi(given[4]);
        queue_size = atoi(given[5]);
        advanced = atoi(given[6]);
        emergency = queue_size > 4;
    } else if (count != 2) {
        return 64;
    }
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
    while (now() - began < 300.0) {
        double wake = 1e300, t;
        struct pollfd seen = {.fd = master, .events = POLLIN};
        t = now();
        while (out_head != out_tail && out[out_head % OUT].at <= t) put(out[out_head++ % OUT].text);
        if (out_head != out_tail) wake = out[out_head % OUT].at;
        if (head != tail && arrives[head % IN] < wake) wake = arrives[head % IN];
        struct timespec pause = {0, 0};
        double left = wake - t;
        if (left > 0.25) left = 0.25;
        if (left > 0) pause.tv_nsec = (long)(left * 1e9);
        ppoll(&seen, 1, &pause, NULL);
        if (seen.revents & POLLIN) {
            char chunk[4096];
            ssize_t n = read(master, chunk, sizeof chunk);
            t = now();
            attached = 1;
            for (ssize_t i = 0; i < n; i++) {
                wire_free = (wire_free > t ? wire_free : t) + byte_s;
                if (latency_s > 0.0 && (long)(tail - head) >= rx_size - 1) { overflows++; continue; } /* lost */
                in[tail % IN] = chunk[i];
                arrives[tail++ % IN] = wire_free + latency_s;
            }
            if ((long)(tail - head) > most_bytes) most_bytes = (long)(tail - head);
        } else if (seen.revents & POLLHUP) {
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
    printf("executed=%ld resends=%ld overflows=%ld seconds=%.6f most_bytes=%ld\n", executed, resends, overflows,
           last_at - first_at, most_bytes);
    return 0;
}
