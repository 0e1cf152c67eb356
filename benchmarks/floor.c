/* The floor under matching: words and bit operations in C, with nothing of the language but what the benchmark asks.
 *
 *     floor PAPERS QUERIES PAIRS ROUNDS
 *
 * PAPERS has one text of lower-case words to the line. QUERIES has one query to the line: alternatives parted by " | ",
 * each of +word (wanted), -word (excluded) and =one_two (phrase). The clock covers cutting the texts into words, a bit
 * per word and paper, and every query's papers; reading the files and numbering the words of the queries come before.
 * Prints the seconds of each round; writes (query, paper) pairs of the last as 32-bit integers to PAIRS.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLOTS = 1 << 20, TERM_END = 0, WANTED, EXCLUDED, PHRASE, OR };

static char *slots[SLOTS];
static int numbers[SLOTS], word_count;

static char *read_all(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(1); }
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    char *text = malloc(*size + 1);
    if (fread(text, 1, *size, file) != *size) exit(1);
    text[*size] = 0;
    fclose(file);
    return text;
}

/* Return the number of a word; -1 for an unknown one unless it is to be added. */
static int number_of(const char *word, int length, int add) {
    uint64_t hash = 14695981039346656037u;  /* FNV-1a */
    for (int i = 0; i < length; i++) hash = (hash ^ (unsigned char)word[i]) * 1099511628211u;
    for (uint64_t slot = hash & (SLOTS - 1);; slot = (slot + 1) & (SLOTS - 1)) {
        if (!slots[slot]) {
            if (!add) return -1;
            slots[slot] = strndup(word, length);
            return numbers[slot] = word_count++;
        }
        if (!strncmp(slots[slot], word, length) && !slots[slot][length]) return numbers[slot];
    }
}

/* Compile all queries to one array: kind, operands; a phrase is its length and words; TERM_END ends a query. */
static int *compile(char *text, int *count) {
    size_t room = 1 << 20, used = 0;
    int *code = malloc(room * sizeof *code);
    *count = 0;
    for (char *line = text; *line; *count += 1) {
        char *end = strchr(line, '\n');
        *end = 0;
        for (char *term = strtok(line, " "); term; term = strtok(NULL, " ")) {
            if (used + 256 > room) code = realloc(code, (room *= 2) * sizeof *code);
            if (*term == '|') {
                code[used++] = OR;
            } else if (*term == '=') {
                code[used++] = PHRASE;
                int *length = &code[used++];
                *length = 0;
                for (char *word = term + 1; word; (*length)++) {
                    char *rest = strchr(word, '_');
                    code[used++] = number_of(word, rest ? (int)(rest - word) : (int)strlen(word), 1);
                    word = rest ? rest + 1 : NULL;
                }
            } else {
                code[used++] = *term == '+' ? WANTED : EXCLUDED;
                code[used++] = number_of(term + 1, strlen(term + 1), 1);
            }
        }
        code[used++] = TERM_END;
        line = end + 1;
    }
    return code;
}

static int has_phrase(const int *from, const int *to, const int *words, int length) {
    for (; from + length <= to; from++)
        if (*from == *words && !memcmp(from, words, length * sizeof *words)) return 1;
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 5) return 2;
    size_t size, query_size;
    char *papers = read_all(argv[1], &size);
    int count, paper_count = 0, *code = compile(read_all(argv[2], &query_size), &count);
    for (char *at = papers; *at; at++) paper_count += *at == '\n';
    int limbs = (paper_count + 63) / 64;
    size_t room = 1 << 20, found = 0;
    int32_t *pairs = malloc(room * 2 * sizeof *pairs);
    for (int round = 0; round < atoi(argv[4]); round++) {
        struct timespec start, stop;
        clock_gettime(CLOCK_MONOTONIC, &start);
        found = 0;
        uint64_t *bits = calloc((size_t)word_count * limbs, sizeof *bits);
        int *words = malloc(size * sizeof *words), *starts = malloc((paper_count + 1) * sizeof *starts), used = 0, paper = 0;
        starts[0] = 0;
        for (char *at = papers; *at;) {
            char *from = at;
            while (*at >= 'a' && *at <= 'z') at++;
            if (at > from) {
                int word = words[used++] = number_of(from, at - from, 0);
                if (word >= 0) bits[(size_t)word * limbs + paper / 64] |= 1ull << paper % 64;
            }
            if (*at == '\n') starts[++paper] = used;
            if (*at) at++;
        }
        uint64_t each[limbs], any[limbs];
        const int *op = code;
        for (int query = 0; query < count; query++, op++) {
            memset(any, 0, sizeof any);
            memset(each, 255, sizeof each);
            for (;; ) {
                if (*op == OR || *op == TERM_END) {
                    for (int i = 0; i < limbs; i++) any[i] |= each[i];
                    if (*op == TERM_END) break;
                    memset(each, 255, sizeof each);
                    op++;
                } else if (*op == PHRASE) {
                    int length = op[1];
                    for (int w = 0; w < length; w++)
                        for (int i = 0; i < limbs; i++) each[i] &= bits[(size_t)op[2 + w] * limbs + i];
                    for (int i = 0; i < limbs; i++)
                        for (uint64_t left = each[i]; left; left &= left - 1) {
                            int at = 64 * i + __builtin_ctzll(left);
                            if (!has_phrase(words + starts[at], words + starts[at + 1], op + 2, length))
                                each[i] &= ~(left & -left);
                        }
                    op += 2 + length;
                } else {
                    const uint64_t *row = bits + (size_t)op[1] * limbs;
                    if (*op == WANTED) for (int i = 0; i < limbs; i++) each[i] &= row[i];
                    else for (int i = 0; i < limbs; i++) each[i] &= ~row[i];
                    op += 2;
                }
            }
            for (int i = 0; i < limbs; i++)
                for (uint64_t left = any[i]; left; left &= left - 1) {
                    if (found == room) pairs = realloc(pairs, (room *= 2) * 2 * sizeof *pairs);
                    pairs[2 * found] = query;
                    pairs[2 * found++ + 1] = 64 * i + __builtin_ctzll(left);
                }
        }
        free(bits); free(words); free(starts);
        clock_gettime(CLOCK_MONOTONIC, &stop);
        printf("%.6f\n", (stop.tv_sec - start.tv_sec) + (stop.tv_nsec - start.tv_nsec) / 1e9);
    }
    FILE *out = fopen(argv[3], "wb");
    fwrite(pairs, 2 * sizeof *pairs, found, out);
    return fclose(out);
}
