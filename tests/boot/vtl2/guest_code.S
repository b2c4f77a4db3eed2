// A toy VTL0: copied to guest address 8000h, entered in 64-bit mode with the first 2 MiB mapped. Reports by ports 80h (progress) and 81h (failure).
    .section .rodata.guest_code, "a", @progbits
    .globl guest_code_begin, guest_code_end, guest_startup_begin, guest_startup_end
    .set base, 0x8000
    .set idt, 0x6000
    .code64
guest_code_begin:
    movl $0x7000, %esp
    movb $1, %al                    // 1: alive
    outb %al, $0x80
    // CPUID says that a hypervisor is there, and x2APIC, and no SVM.
    movl $1, %eax
    cpuid
    bt $31, %ecx
    jnc fail
    bt $21, %ecx
    jnc fail
    movl $0x80000001, %eax
    cpuid
    bt $2, %ecx
    jc fail
    movl $0x40000000, %eax
    cpuid
    cmpl $0x7263694D, %ebx          // "Micr"
    jne fail
    movb $2, %al
    outb %al, $0x80
    // Device memory: VTL2 answers 12345678h.
    movl $0xFEDC0000, %ebx
    movl (%rbx), %eax
    cmpl $0x12345678, %eax
    jne fail
    movb $3, %al
    outb %al, $0x80
    // An IDT with one entry for each of vectors 13, 40h and 41h.
    movl $(gp_handler - guest_code_begin + base), %eax
    movl $(idt + 13 * 16), %edi
    call set_gate
    movl $(timer_handler - guest_code_begin + base), %eax
    movl $(idt + 0x40 * 16), %edi
    call set_gate
    movl $(device_handler - guest_code_begin + base), %eax
    movl $(idt + 0x41 * 16), %edi
    call set_gate
    lidt idt_pointer(%rip)
    // An MSR that does not exist: a general protection fault, which the handler steps over.
    movl $0x4B564D00, %ecx
    xorl %r12d, %r12d
    rdmsr
    cmpl $1, %r12d
    jne fail
    // EFER.SVME cannot be set.
    movl $0xC0000080, %ecx
    rdmsr
    orl $0x1000, %eax
    wrmsr
    cmpl $2, %r12d
    jne fail
    movb $4, %al
    outb %al, $0x80
    // x2APIC mode, software enable, a one-shot timer, sleep.
    xorl %r13d, %r13d
    movl $0x1B, %ecx
    rdmsr
    orl $0xC00, %eax
    wrmsr
    movl $0x80F, %ecx
    xorl %edx, %edx
    movl $0x1FF, %eax
    wrmsr
    movl $0x832, %ecx
    movl $0x40, %eax
    wrmsr
    movl $0x83E, %ecx
    movl $0xB, %eax
    wrmsr
    movl $0x838, %ecx
    movl $100000, %eax
    wrmsr
1:  cli                             // no interrupt between the look and the sleep
    testl %r13d, %r13d
    jnz 2f
    sti
    hlt
    jmp 1b
2:  sti
    xorl %r14d, %r14d
    movb $5, %al
    outb %al, $0x80                 // VTL2 asserts vector 41h on this
3:  testl %r14d, %r14d
    jnz 4f
    pause
    jmp 3b
4:  movb $6, %al
    outb %al, $0x80
    // TSC deadline.
    movl $0x832, %ecx
    movl $0x40040, %eax
    xorl %edx, %edx
    wrmsr
    xorl %r13d, %r13d
    rdtsc
    addl $1000000, %eax
    adcl $0, %edx
    movl $0x6E0, %ecx
    wrmsr
5:  cli
    testl %r13d, %r13d
    jnz 6f
    sti
    hlt
    jmp 5b
6:  movb $7, %al
    outb %al, $0x80
    // Vector registers survive VTL2's.
    movl $0x5A5A5A5A, %eax
    movd %eax, %xmm7
    movb $8, %al
    outb %al, $0x80
    movd %xmm7, %eax
    cmpl $0x5A5A5A5A, %eax
    jne fail
    // The other processor: INIT, SIPI to page 9; it reports by port 82h.
    movl 0x5FF8, %eax               // number of VPs, from VTL2
    cmpl $2, %eax
    jb 8f
    movl $0x830, %ecx
    movl $1, %edx
    movl $0x4500, %eax
    wrmsr
    movl $0x4609, %eax
    wrmsr
7:  movl 0x5FF0, %eax               // set by the other processor's real-mode code
    cmpl $0x77, %eax
    jne 7b
8:  movb $9, %al
    outb %al, $0x80
    hlt
fail:
    lea fail(%rip), %rax
    outb %al, $0x81
    hlt
    jmp fail

set_gate:
    movw %ax, (%rdi)
    movw $8, 2(%rdi)
    movw $0x8E00, 4(%rdi)
    shrl $16, %eax
    movw %ax, 6(%rdi)
    movl $0, 8(%rdi)
    movl $0, 12(%rdi)
    ret
gp_handler:
    addl $1, %r12d
    addq $8, %rsp
    addq $2, (%rsp)
    iretq
timer_handler:
    addl $1, %r13d
    jmp 1f
device_handler:
    addl $1, %r14d
1:  pushq %rax
    pushq %rcx
    pushq %rdx
    movl $0x80B, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    wrmsr
    popq %rdx
    popq %rcx
    popq %rax
    iretq
    .balign 8
idt_pointer:
    .word 0x80 * 16 - 1
    .quad idt
guest_code_end:

    .code16
guest_startup_begin:
    movb $0x82, %al
    outb %al, $0x82
    xorw %ax, %ax
    movw %ax, %ds
    movl $0x77, 0x5FF0
1:  hlt
    jmp 1b
guest_startup_end:
    .section .note.GNU-stack, "", @progbits
